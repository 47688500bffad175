//! Owns `log`: a plugin's lines to the host, within their bytes.
//! Leaves where lines go to the host behind `HostCalls`.

use trackside_model::{event::Severity, ports::LogLine};

use crate::{
    bindings::trackside::plugin::{log, types},
    convert,
    limits::LOG_LINE_BYTES,
    state::State,
};

impl State {
    /// Hands a line on, cut to what is left of the call's bytes. The first line that does not fit whole says so; later ones are dropped.
    pub(crate) fn log_line(&mut self, level: Severity, message: &str, cause: Option<&str>) {
        // Each event of a batch has what it would have alone.
        let allowed = self.core.limits.log_bytes.saturating_mul(self.call.cause.judged());
        if self.call.log_bytes >= allowed {
            return;
        }
        let left = allowed - self.call.log_bytes;
        self.call.log_bytes = self.call.log_bytes.saturating_add(message.len() as u64 + LOG_LINE_BYTES);
        let correlation_id = self.call.cause.correlation(cause);
        if self.call.silent {
            return;
        }
        if self.call.log_bytes < allowed {
            self.core.calls.log(&self.core.name, LogLine { level, message, correlation_id });
            return;
        }
        self.core.cut("log_bytes", allowed);
        let kept = cut(message, usize::try_from(left).unwrap_or(usize::MAX));
        let message = format!("{kept}… (cut: log_bytes allows {allowed} a call)");
        self.core.calls.log(&self.core.name, LogLine { level, message: &message, correlation_id });
    }

    /// Hands on what the guest wrote to its standard output and error since the last time.
    pub(crate) fn drain_stdio(&mut self) {
        let Some(written) = self.stdio.take() else { return };
        for line in written.out.lines().filter(|line| !line.trim().is_empty()) {
            self.log_line(Severity::Info, line, None);
        }
        for line in written.err.lines().filter(|line| !line.trim().is_empty()) {
            self.log_line(Severity::Warning, line, None);
        }
    }
}

/// The longest beginning of `text` within `bytes` that ends between two characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

impl log::Host for State {
    fn log(&mut self, level: types::Severity, message: String, cause: Option<String>) -> wasmtime::Result<()> {
        self.drain_stdio();
        self.log_line(convert::severity(level), &message, cause.as_deref());
        Ok(())
    }
}
