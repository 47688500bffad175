//! What the documents tell people to type: every command in a fenced `sh` block, and every `$ ` line of a `console` block, is run.
//! Whether the prose around it is true is for its readers.
//!
//! A document's commands run one after the other in one folder that looks like the repository but is not. `trackside …` and
//! `cargo run … -- …` are the binary under test, `cargo run --example …` is what was built beside it; `cargo xtask …` is what runs this, and is looked up only. A comment in the line
//! above a block says what else there is to know: `<!-- test: background -->` for one that goes on until the document's end,
//! `<!-- test: refused -->` for one that ends with exit code 1, `<!-- test: once taken up -->` for one that works once a change before it has been
//! taken up, `<!-- test: skip because … -->` for one that cannot be run here.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use trackside_tests::{Ran, Site, binary, eventually_within, run};

/// Where a host is that nobody has told otherwise.
const USUAL_ADDRESS: &str = "127.0.0.1:7070";
/// How long a change may take to be built, compiled and taken up, on a machine that has other things to do.
const PATIENCE_FOR_CHANGES: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Foreground,
    Background,
    Refused,
    OnceTakenUp,
}

/// Commands of one block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Of the fence, from 1.
    line: usize,
    script: String,
    how: How,
}

/// The blocks to be run.
///
/// # Errors
/// What is wrong with a comment that is meant for this test.
fn blocks(markdown: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines().enumerate();
    let mut comment = "";
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                comment = line.trim();
            }
            continue;
        };
        let inner: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.trim_start().starts_with("```")).collect();
        let how = how(comment).map_err(|error| format!("line {number}: {error}"))?;
        comment = "";
        let script = match language.trim() {
            "sh" => inner.join("\n"),
            "console" => inner.iter().filter_map(|line| line.strip_prefix("$ ")).collect::<Vec<_>>().join("\n"),
            _ => continue,
        };
        if let Some(how) = how {
            blocks.push(Block { line: number + 1, script, how });
        }
    }
    Ok(blocks)
}

/// What the comment above a block says of it; `None`: it is not run.
fn how(comment: &str) -> Result<Option<How>, String> {
    let said = comment.strip_prefix("<!-- test:").and_then(|comment| comment.strip_suffix("-->"));
    match said.map(str::trim) {
        None => Ok(Some(How::Foreground)),
        Some("background") => Ok(Some(How::Background)),
        Some("refused") => Ok(Some(How::Refused)),
        Some("once taken up") => Ok(Some(How::OnceTakenUp)),
        Some(said) if said.strip_prefix("skip because ").is_some_and(|why| why.len() > 10) => Ok(None),
        Some(other) => Err(format!("'{other}' is none of 'background', 'refused', 'once taken up' and 'skip because …' with a reason")),
    }
}

/// A folder that looks like the repository, and commands in front of the system's.
struct Desk {
    site: Site,
    address: Option<String>,
    /// Of all that were started.
    addresses: Vec<String>,
    running: Vec<Child>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository is there")
}

impl Desk {
    fn new() -> Self {
        let site = Site::new();
        let folder = site.root().join("trackside");
        fs::create_dir(&folder).expect("a directory can be made");
        for entry in fs::read_dir(repository()).expect("the repository can be read").flatten() {
            let name = entry.file_name();
            if name != "target" && name != ".git" {
                symlink(entry.path(), folder.join(name)).expect("a link can be made");
            }
        }
        fs::create_dir(site.root().join("bin")).expect("a directory can be made");
        symlink(binary(), site.root().join("bin/trackside")).expect("a link can be made");
        let cargo = site.file("bin/cargo", cargo_script());
        fs::set_permissions(cargo, fs::Permissions::from_mode(0o755)).expect("a file can be made to run");
        Self { site, address: None, addresses: Vec::new(), running: Vec::new() }
    }

    fn shell(&self, script: &str) -> Command {
        let mut script = script.to_owned();
        if let Some(address) = &self.address {
            script = script.replace(USUAL_ADDRESS, address).replace("localhost:7070", address);
        }
        let mut command = self.site.command([""; 0]);
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &script]).current_dir(self.site.root().join("trackside")).stdin(Stdio::null());
        for (name, value) in command.envs([("TRACKSIDE_LISTEN", "127.0.0.1:0")]).get_envs() {
            match value {
                Some(value) => drop(shell.env(name, value)),
                None => drop(shell.env_remove(name)),
            }
        }
        let path = env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", self.site.root().join("bin").display()));
        // What authors' projects have in common is compiled once.
        let target = env::current_exe().expect("the system says where this program is");
        if let Some(target) = target.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()) {
            shell.env("CARGO_TARGET_DIR", target.join("authors"));
        }
        if let Some(address) = &self.address {
            shell.env("TRACKSIDE_URL", format!("http://{address}"));
        }
        shell
    }

    fn run(&mut self, block: &Block) -> Result<(), String> {
        match block.how {
            How::Foreground | How::Refused => {
                let ran: Ran = run(&mut self.shell(&block.script));
                let expected = i32::from(block.how == How::Refused);
                if ran.code == expected { Ok(()) } else { Err(format!("`{}`: {ran}", block.script)) }
            }
            How::OnceTakenUp => {
                let begun = Instant::now();
                loop {
                    let ran: Ran = run(&mut self.shell(&block.script));
                    if ran.code == 0 {
                        return Ok(());
                    }
                    if begun.elapsed() > PATIENCE_FOR_CHANGES {
                        return Err(format!("`{}`, for {} s: {ran}", block.script, begun.elapsed().as_secs()));
                    }
                    thread::sleep(Duration::from_millis(100));
                }
            }
            How::Background => {
                // The last command is the one that goes on.
                let (before, last) = block.script.trim().rsplit_once('\n').unwrap_or(("true", block.script.trim()));
                let mut shell = self.shell(&format!("{before}\nexec {last}"));
                let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())?;
                let folder = self.site.root().join("trackside");
                self.address = Some(eventually_within(PATIENCE_FOR_CHANGES, "the address of a host in the background", || {
                    assert!(child.try_wait().expect("a child can be waited for").is_none(), "`{}` has ended", block.script);
                    let entries = fs::read_dir(&folder).ok()?.flatten();
                    let found = entries
                        .flat_map(|entry| [entry.path().join("address"), entry.path().join(".trackside/dev/address")])
                        .filter_map(|path| fs::read_to_string(path).ok())
                        .filter(|text| text.ends_with('\n'))
                        .map(|text| text.trim().trim_start_matches("http://").to_owned());
                    // One that was started before has an address too.
                    let mut new = found.filter(|found| !self.addresses.contains(found));
                    new.next()
                }));
                self.addresses.extend(self.address.clone());
                self.running.push(child);
                Ok(())
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for child in &mut self.running {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A `cargo` that knows what documents may ask of it, and refuses everything else.
fn cargo_script() -> String {
    let verbs: Vec<&str> = ["test", "bench", "tidy", "setup"].into_iter().filter(|verb| xtask_knows(verb)).collect();
    format!(
        "#!/bin/sh\n\
         if [ \"$1\" = xtask ]; then\n  case \"$2\" in {}) exit 0;; esac\nfi\n\
         if [ \"$1\" = test ] && [ -d trackside/sdk ]; then exec \"$CARGO\" \"$@\"; fi\n\
         if [ \"$1\" = run ]; then\n  shift\n  if [ \"$1\" = --release ] || [ \"$1\" = --quiet ]; then shift; fi\n  \
           if [ \"$1\" = --example ] && [ -x \"{examples}/$2\" ]; then exec \"{examples}/$2\"; fi\n  if [ \"$1\" = -- ]; then shift; exec trackside \"$@\"; fi\nfi\n\
         echo \"cargo $*: the documents' test does not know this command\" >&2\nexit 97\n",
        verbs.join("|"),
        examples = binary().with_file_name("examples").display()
    )
}

fn xtask_knows(verb: &str) -> bool {
    let source = fs::read_to_string(repository().join("xtask/src/main.rs")).expect("xtask has a main");
    source.contains(&format!("\"{verb}\""))
}

fn documents() -> Vec<PathBuf> {
    let mut documents = vec![repository().join("README.md"), repository().join("CONTRIBUTING.md")];
    for folder in ["docs", "docs/authoring"] {
        let entries = fs::read_dir(repository().join(folder)).expect("the documents can be listed").flatten();
        documents.extend(entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    documents.sort();
    documents
}

#[test]
fn what_the_documents_tell_people_to_type_works() {
    let mut failures = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document can be read");
        let name = document.strip_prefix(repository()).unwrap_or(&document).display().to_string();
        let blocks = blocks(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut desk = Desk::new();
        for block in &blocks {
            if let Err(error) = desk.run(block) {
                failures.push(format!("{name}:{}: {error}", block.line));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_readme_names_the_two_commands() {
    let text = fs::read_to_string(repository().join("README.md")).expect("there is a README");
    let scripts: String = blocks(&text).expect("its comments are right").into_iter().map(|block| block.script + "\n").collect();
    for command in ["cargo run --release -- demo", "cargo xtask test"] {
        assert!(scripts.contains(command), "the README does not say `{command}`");
    }
}

#[test]
fn a_command_that_does_not_work_is_found() {
    let mut desk = Desk::new();
    for (script, code) in [
        ("trackside evnets", "exit code 2"),
        ("cargo install trackside", "exit code 97"),
        ("cargo xtask tset", "exit code 97"),
        ("no-such-command", "exit code 127"),
        ("trackside evnets\ntrue", "exit code 2"),
    ] {
        let block = Block { line: 1, script: script.to_owned(), how: How::Foreground };
        let error = desk.run(&block).expect_err(script);
        assert!(error.contains(code), "{error}");
    }
    let block = Block { line: 1, script: "trackside evnets".to_owned(), how: How::Refused };
    assert!(desk.run(&block).expect_err("not refused, but wrong").contains("exit code 2"));
    for script in [
        "cargo run --release -- config default",
        "cargo run -- --version",
        "cargo xtask test",
        "trackside --help > help.txt\ntest -s help.txt",
    ] {
        desk.run(&Block { line: 1, script: script.to_owned(), how: How::Foreground }).unwrap_or_else(|error| panic!("{error}"));
    }
    desk.run(&Block { line: 1, script: "trackside run".to_owned(), how: How::Background }).expect("a host runs");
    desk.run(&Block {
        line: 1,
        script: "trackside publish --type a:b\ntrackside events --type a:b | grep -q a:b".to_owned(),
        how: How::Foreground,
    })
    .expect("and can be spoken to");
}

#[test]
fn blocks_and_what_is_said_of_them_are_read() {
    let text = "# T\n```sh\na\nb\n```\n<!-- test: background -->\n```sh\nc\n```\n\n<!-- test: skip because it needs the web -->\n\n```sh\nd\n```\n<!-- test: refused -->\n```sh\ng\n```\n```rust\ne\n```\n```console\n$ f\nout\n```\n";
    let block = |line, script: &str, how| Block { line, script: script.to_owned(), how };
    let expected = vec![
        block(2, "a\nb", How::Foreground),
        block(7, "c", How::Background),
        block(17, "g", How::Refused),
        block(23, "f", How::Foreground),
    ];
    assert_eq!(blocks(text), Ok(expected));
    assert!(blocks("<!-- test: skip -->\n```sh\na\n```\n").is_err(), "a reason is asked for");
}
