//! The lines of `trackside plugin dev`: one for each call, each line that a plugin writes, and each thing that becomes of the project.
//! Nothing here decides anything.

use std::{net::SocketAddr, time::Duration};

use anstyle::{AnsiColor, Style};
use trackside_engine::{Call, Sighting};
use trackside_model::event::Severity;

use super::{
    super::{CliError, Out, print},
    cycle::News,
};

/// Characters of what a line says, at most.
const MOST_TEXT: usize = 240;

/// What is shown, and where.
pub(super) struct Show {
    out: Out,
    /// There are others: each line says whose it is.
    named: bool,
}

impl Show {
    pub(super) fn new(out: Out, named: bool) -> Self {
        Self { out, named }
    }

    /// Where the host listens.
    pub(super) fn address(&mut self, address: SocketAddr) -> Result<(), CliError> {
        self.out.line(&format!("listening on http://{address}"))?;
        self.out.flush()
    }

    /// What became of the project.
    pub(super) fn news(&mut self, news: &News) -> Result<(), CliError> {
        let style = if news.is_error { AnsiColor::Red.on_default() } else { AnsiColor::Green.on_default() };
        self.line(news.word, style, &news.text)
    }

    /// What a plugin did.
    pub(super) fn sighting(&mut self, sighting: &Sighting, missed: u64) -> Result<(), CliError> {
        if missed > 0 {
            self.line("missed", AnsiColor::Yellow.on_default(), &format!("{missed} lines came faster than they could be shown"))?;
        }
        match sighting {
            Sighting::Call(call) => {
                let text = self.with_name(&call.plugin, &in_words(call));
                self.line(role(call), style_of(call), &text)
            }
            Sighting::Line { plugin, level, message } => {
                let style = print::style_of(*level);
                let text = self.with_name(plugin, &format!("{}  {message}", level_of(*level)));
                // A traceback keeps its lines.
                let mut lines = text.lines();
                self.line("log", style, lines.next().unwrap_or_default())?;
                lines.try_for_each(|line| self.out.line(&format!("{:>24}{line}", "")))?;
                self.out.flush()
            }
            Sighting::NotGranted { plugin, what, line } => {
                let grant = line.replace('\n', " ");
                let text = self.with_name(plugin, &format!("{what} is not granted; to grant it, write {grant} into its settings file"));
                self.line("grant", AnsiColor::Yellow.on_default(), &text)
            }
        }
    }

    fn with_name(&self, plugin: &str, text: &str) -> String {
        if self.named { format!("{plugin:<16}  {text}") } else { text.to_owned() }
    }

    fn line(&mut self, word: &str, style: Style, text: &str) -> Result<(), CliError> {
        let now = trackside_engine::now().to_string();
        let clock = now.get(11..23).unwrap_or(&now);
        let word = self.out.styled(style, &format!("{word:<8}"));
        for (number, line) in text.lines().enumerate() {
            let line = print::clip(line, MOST_TEXT);
            if number == 0 {
                self.out.line(format!("{clock}  {word}  {line}").trim_end())?;
            } else {
                self.out.line(&format!("{:>24}{line}", ""))?;
            }
        }
        self.out.flush()
    }
}

fn role(call: &Call) -> &'static str {
    match call.call {
        "check" => "control",
        "observe" => "observer",
        _ => "worker",
    }
}

fn style_of(call: &Call) -> Style {
    match &call.outcome {
        Err(_) => AnsiColor::Red.on_default().bold(),
        Ok(answered) if matches!(answered.word, "proceed" | "done") => Style::new(),
        Ok(_) => AnsiColor::Yellow.on_default(),
    }
}

/// What it was about, what it answered, and what it used.
fn in_words(call: &Call) -> String {
    let about = if call.events == 1 { call.about.to_string() } else { format!("{} and {} more", call.about, call.events - 1) };
    let outcome = match &call.outcome {
        Ok(answered) => match &answered.reason {
            Some(reason) => format!("{}: {reason}", answered.word),
            None => answered.word.to_owned(),
        },
        Err(fault) => format!("fault: {fault}"),
    };
    let time = print::duration(Duration::from_nanos(call.usage.duration_ns).as_secs_f64() * 1_000.0);
    let mut text = format!("{about:<28}  {outcome:<12}  {time}, {} fuel", call.usage.fuel);
    for (count, one, many) in [(call.publishes, "publish", "publishes"), (call.kv_writes, "kv write", "kv writes")] {
        if count > 0 {
            text.push_str(&format!(", {count} {}", if count == 1 { one } else { many }));
        }
    }
    text
}

fn level_of(level: Severity) -> &'static str {
    match level {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use trackside_engine::Answered;
    use trackside_model::ports::{Fault, FaultKind, Usage};

    use super::*;

    fn call(outcome: Result<Answered, Fault>) -> Call {
        Call {
            plugin: "p".into(),
            call: "check",
            about: "order:placed".into(),
            events: 1,
            outcome,
            usage: Usage { duration_ns: 12_300, fuel: 450, ..Usage::default() },
            publishes: 0,
            kv_writes: 0,
        }
    }

    #[test]
    fn a_call_is_one_line() {
        let refused = call(Ok(Answered { word: "fail", reason: Some("too much".to_owned()) }));
        assert_eq!(in_words(&refused), "order:placed                  fail: too much  12 µs, 450 fuel");
        let many = Call { events: 3, kv_writes: 1, publishes: 2, ..call(Ok(Answered { word: "done", reason: None })) };
        assert_eq!(in_words(&many), "order:placed and 2 more       done          12 µs, 450 fuel, 2 publishes, 1 kv write");
        let fault = Fault { kind: FaultKind::Trap, message: "KeyError: 'amount'".to_owned(), used: 0, allowed: 0 };
        assert_eq!(in_words(&call(Err(fault))), "order:placed                  fault: trap: KeyError: 'amount'  12 µs, 450 fuel");
    }
}
