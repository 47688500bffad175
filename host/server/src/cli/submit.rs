//! `trackside submit`: a workflow from a file, and its end if asked to wait.
//! What is right about a definition is for the host to say; how a workflow is shown is `workflow`'s.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    CliError,
    client::{Client, HostArg},
    print::Out,
    publish::{json_argument, read},
    source::segment,
    workflow::{self, View},
};

#[derive(Args)]
pub(super) struct SubmitArgs {
    /// The definition, YAML or JSON; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the workflow runs on, as JSON, or @FILE.
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// Groups what belongs together [default: the workflow's id].
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Wait for the end; the exit code is 0 only if it completed.
    #[arg(long)]
    wait: bool,
    /// The host's answer as JSON; with --wait, the workflow at its end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

pub(super) fn run(args: SubmitArgs) -> Result<(), CliError> {
    let client = args.host.client()?;
    let answer = submit(&client, &args)?;
    let mut out = Out::new();
    let Some(workflow_id) = answer["workflow_id"].as_str() else {
        out.line(&if args.json { answer.to_string() } else { super::publish::sentence(&answer) })?;
        return Err(CliError::Told);
    };
    if !args.wait {
        return out.line(&if args.json { answer.to_string() } else { workflow_id.to_owned() });
    }
    if !args.json {
        out.line(workflow_id)?;
        out.flush()?;
    }
    let ended = wait(&client, workflow_id)?;
    if args.json {
        out.line(&ended.to_string())?;
    } else {
        workflow::print(&mut out, &View::read(&ended)?)?;
    }
    out.flush()?;
    if ended["status"].as_str() == Some("completed") { Ok(()) } else { Err(CliError::Told) }
}

fn submit(client: &Client, args: &SubmitArgs) -> Result<Value, CliError> {
    let mut body = json!({"definition": read(&args.file)?});
    if let Some(format) = format_of(&args.file) {
        body["format"] = json!(format);
    }
    if let Some(input) = &args.input {
        body["input"] = json_argument("--input", input)?;
    }
    if let Some(correlation_id) = &args.correlation_id {
        body["correlation_id"] = json!(correlation_id);
    }
    let key = Uuid::now_v7().to_string();
    let answered = client.post("/v1/workflows", &[("Content-Type", "application/json"), ("Idempotency-Key", &key)], &body.to_string())?;
    if answered.status < 400 {
        return answered.json();
    }
    Err(definition_errors(&args.file, &answered.json().unwrap_or(Value::Null)).unwrap_or_else(|| answered.refusal()))
}

/// What the file's name says; standard input is looked at by the host.
fn format_of(file: &Path) -> Option<&'static str> {
    match file.extension()?.to_str()? {
        "json" => Some("json"),
        "yaml" | "yml" => Some("yaml"),
        _ => None,
    }
}

/// All that is wrong with a definition, each with file and line, as compilers do.
fn definition_errors(file: &Path, problem: &Value) -> Option<CliError> {
    let errors = problem["errors"].as_array().filter(|errors| !errors.is_empty())?;
    let lines: Vec<String> = errors
        .iter()
        .map(|error| {
            let line = error["line"].as_u64().map(|line| format!(":{line}")).unwrap_or_default();
            let place = error["place"].as_str().filter(|place| !place.is_empty()).map(|place| format!("{place}: ")).unwrap_or_default();
            format!("{}{line}: {place}{}", file.display(), error["message"].as_str().unwrap_or_default())
        })
        .collect();
    Some(CliError::Failed(lines.join("\n")))
}

/// The workflow at its end. The host answers when it is there.
fn wait(client: &Client, workflow_id: &str) -> Result<Value, CliError> {
    let answered = client.get(&format!("/v1/workflows/{}", segment(workflow_id)), &[("wait".to_owned(), "true".to_owned())]);
    let lost = |what: &str| {
        CliError::Unreachable(format!("the workflow was submitted, but {what}; it goes on: see `trackside workflow show {workflow_id}`"))
    };
    match answered {
        Ok(answered) if answered.status == 503 => Err(lost("the host is stopping")),
        Ok(answered) => answered.done(),
        Err(CliError::Unreachable(why)) => Err(lost(&why)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_a_definition_are_told_by_file_and_line() {
        let problem = json!({"errors": [{"line": 3, "place": "tasks[0].method", "message": "unknown"}, {"line": null, "place": "", "message": "empty"}]});
        let told = definition_errors(Path::new("w.yaml"), &problem).unwrap();
        assert_eq!(told, CliError::Failed("w.yaml:3: tasks[0].method: unknown\nw.yaml: empty".to_owned()));
        assert_eq!(definition_errors(Path::new("w"), &json!({"detail": "busy"})), None);
    }

    #[test]
    fn a_format_goes_by_the_files_name() {
        assert_eq!(format_of(Path::new("a.yml")), Some("yaml"));
        assert_eq!(format_of(Path::new("a.json")), Some("json"));
        assert_eq!(format_of(Path::new("-")), None);
    }
}
