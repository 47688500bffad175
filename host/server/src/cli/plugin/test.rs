//! `trackside plugin test`: every case of a folder against a plugin, each on an instance of its own, with what it differs in.
//! What a case is and when it holds is `offline`'s.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{CliError, DirectoryArg, Out, component_path, print};
use crate::offline::{Case, Difference, Manner, Offline, OfflineError, Stand, Told, Verdict, cases_in};

/// The word before a case that does not hold.
const FAILED: &str = "FAILED";

#[derive(Args)]
pub(in crate::cli) struct TestArgs {
    /// The path of a component (NAME.wasm), or the name of a plugin in the plugin directory.
    #[arg(value_name = "FILE|NAME")]
    what: PathBuf,
    /// The folder with cases: *.json, one each, and *.ndjson with recorded events.
    #[arg(long = "events", value_name = "DIR")]
    folder: PathBuf,
    /// Write what each case without expectations comes to beside it, as NAME.expected.json.
    #[arg(long)]
    update: bool,
    /// Its settings file [default: NAME.toml beside the component].
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// One JSON object a case, and one for all.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: DirectoryArg,
}

pub(super) fn run(args: &TestArgs) -> Result<(), CliError> {
    let usage = |error: OfflineError| CliError::Usage(format!("--events: {error}"));
    let paths = cases_in(&args.folder).map_err(usage)?;
    if paths.is_empty() {
        return Err(CliError::Usage(format!(
            "--events: there is no case in {}: put an event into a file NAME.json",
            args.folder.display()
        )));
    }
    let offline = Offline::open(&component_path(&args.what, &args.at)?, args.settings.as_deref()).map_err(CliError::failed)?;
    // What does not load at all is said once, and not for each case.
    offline.load(None).map_err(CliError::failed)?;
    let mut report = Report { out: Out::new(), json: args.json, passed: 0, failed: 0 };
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match judge(&offline, path, args.update) {
            Ok((verdict, told)) => report.case(&name, &verdict, &told)?,
            Err(error) => report.broken(&name, &error)?,
        }
    }
    report.end()
}

fn judge(offline: &Offline, path: &Path, update: bool) -> Result<(Verdict, Vec<Told>), OfflineError> {
    let mut case = Case::read(path)?;
    // Loaded for each case: nothing that one leaves in memory reaches another.
    let stand = Stand::new(offline.load(case.settings.as_ref())?, offline.calls(), Manner::Rehearsal);
    let call = case.begin(&offline.calls());
    let told = stand.call(call, case.role, &case.circumstances)?;
    Ok((case.judge(&told, update)?, told))
}

struct Report {
    out: Out,
    json: bool,
    passed: usize,
    failed: usize,
}

impl Report {
    fn case(&mut self, name: &str, verdict: &Verdict, told: &[Told]) -> Result<(), CliError> {
        let (passed, word) = match verdict {
            Verdict::Passed => (true, "passed"),
            Verdict::Written => (true, "written"),
            Verdict::Failed(_) | Verdict::Open => (false, FAILED),
        };
        self.count(passed);
        let differences: &[Difference] = if let Verdict::Failed(differences) = verdict { differences } else { &[] };
        let open = matches!(verdict, Verdict::Open).then_some("nothing is expected: put `expect` into it, or run again with --update");
        if self.json {
            let calls: Vec<Value> = told.iter().map(Told::to_json).collect();
            let written = matches!(verdict, Verdict::Written);
            let line =
                json!({"case": name, "passed": passed, "written": written, "differences": differences, "error": open, "calls": calls});
            return self.out.line(&line.to_string());
        }
        self.line_of(passed, word, name)?;
        for difference in differences {
            self.out.line(&format!("        {}", sentence(difference)))?;
        }
        match open {
            Some(open) => self.out.line(&format!("        {open}")),
            None => Ok(()),
        }
    }

    /// A case that could not be judged.
    fn broken(&mut self, name: &str, error: &OfflineError) -> Result<(), CliError> {
        self.count(false);
        if self.json {
            return self.out.line(&json!({"case": name, "passed": false, "error": error.to_string()}).to_string());
        }
        self.line_of(false, FAILED, name)?;
        self.out.line(&format!("        {error}"))
    }

    fn line_of(&mut self, passed: bool, word: &str, name: &str) -> Result<(), CliError> {
        let style = print::style_of_status(if passed { "completed" } else { "failed" });
        let word = self.out.styled(style, &format!("{word:<7}"));
        self.out.line(&format!("{word} {name}"))
    }

    fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    fn end(mut self) -> Result<(), CliError> {
        let Self { passed, failed, .. } = self;
        if self.json {
            self.out.line(&json!({"passed": passed, "failed": failed}).to_string())?;
        } else {
            self.out.line(&format!("\n{passed} passed, {failed} failed"))?;
        }
        self.out.flush()?;
        if failed > 0 { Err(CliError::Told) } else { Ok(()) }
    }
}

fn sentence(difference: &Difference) -> String {
    let at = if difference.at.is_empty() { "the whole" } else { &difference.at };
    match (&difference.expected, &difference.actual) {
        (Some(expected), Some(actual)) => format!("{at}: expected {expected}, was {actual}"),
        (Some(expected), None) => format!("{at}: expected {expected}, was not there"),
        (None, Some(actual)) => format!("{at}: not expected, was {actual}"),
        (None, None) => at.to_owned(),
    }
}
