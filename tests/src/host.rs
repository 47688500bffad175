//! A running host: started on a free port, spoken to, and ended gently or not. What it said is shown when a test fails.
//! Where it runs is `site`'s.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use rustls::ClientConfig;
use serde_json::Value;

use crate::{
    cli::{self, Ran},
    http::{self, Opened, Response},
    site::Site,
    sse::Stream,
    wait::eventually,
};

/// A host that runs; killed when it is dropped.
pub struct Host {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
    output: PathBuf,
    /// Who speaks TLS to it; `None`: it is spoken to plainly.
    client: Option<Arc<ClientConfig>>,
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const YAML: (&str, &str) = ("Content-Type", "application/yaml");

impl Host {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(site: &Site, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        Self::start_at(site, "127.0.0.1:0", None, more)
    }

    /// Starts one that other machines can reach, and waits until it is ready. Its certificate and key are named by `more`.
    pub(crate) fn start_secure(site: &Site, client: Arc<ClientConfig>, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        Self::start_at(site, "0.0.0.0:0", Some(client), more)
    }

    fn start_at(site: &Site, listen: &str, client: Option<Arc<ClientConfig>>, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let address_file = site.data().join("address");
        // A host that was killed has left its address there.
        if let Err(error) = fs::remove_file(&address_file) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        }
        let output = site.root().join("host.out");
        let log = File::options().create(true).append(true).open(&output).expect("the host's output has a file");
        let mut command = site.command(["run", "--listen", listen]);
        command.arg("--plugins").arg(site.plugins()).arg("--data").arg(site.data());
        // A test says itself when a file is to be taken up, unless it is about the watch.
        command.env("TRACKSIDE_PLUGINS_WATCH", "false");
        command.stdout(log.try_clone().expect("a file has a second handle")).stderr(log).stdin(Stdio::null());
        more(&mut command);
        let mut child = command.spawn().expect("the host starts");
        let said = || fs::read_to_string(&output).unwrap_or_default();
        let address = eventually("the host's address", || {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                panic!("the host ended with {status}:\n{}", said());
            }
            let text = fs::read_to_string(&address_file).ok()?;
            let address = text.strip_suffix('\n')?.split_once("://")?.1;
            Some(address.parse::<SocketAddr>().expect("an address"))
        });
        // Every address of this machine, of which this is one.
        let address = if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address };
        let host = Self { child, address, data: site.data(), output, client };
        eventually("readiness", || (host.get("/readyz").status == 200).then_some(()));
        host
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL, for the command line.
    pub fn url(&self) -> String {
        let scheme = if self.client.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The token that lets its holder change plugins.
    ///
    /// # Panics
    /// When the host has made none.
    pub fn token(&self) -> String {
        fs::read_to_string(self.data.join("token")).expect("there is a token").trim().to_owned()
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Asks; the answer is whole.
    ///
    /// # Panics
    /// When there is none.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response {
        let answer = self.open(method, path, headers, body.as_ref()).and_then(http::whole);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.output()))
    }

    fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Opened> {
        match &self.client {
            None => http::open(self.address, method, path, headers, body),
            Some(client) => http::open_tls(client, self.address, method, path, headers, body),
        }
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], "")
    }

    /// Sends JSON.
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.send("POST", path, &[JSON], body.to_string())
    }

    /// Publishes an event; the answer says what became of it.
    pub fn publish(&self, event: &Value) -> Response {
        self.post("/v1/events", event)
    }

    /// Every event that the query asks for, through all its pages.
    ///
    /// # Panics
    /// When the host refuses.
    pub fn events(&self, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/v1/events?limit=1000&{query}{after}")).expect(200);
            let Some(events) = page["events"].as_array() else { panic!("no events: {page}") };
            all.extend(events.iter().cloned());
            match &page["next"] {
                Value::Null => return all,
                next => after = format!("&after={}", next.as_str().map_or_else(|| next.to_string(), str::to_owned)),
            }
        }
    }

    /// Waits until the log has an event that the query asks for and that is the one.
    pub fn wait_for(&self, query: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        eventually(&format!("an event of {query}"), || self.events(query).into_iter().find(|event| is_it(event)))
    }

    /// Submits a workflow, YAML, and gives its id.
    ///
    /// # Panics
    /// When it is not taken.
    pub fn submit(&self, definition: &str) -> String {
        let answer = self.send("POST", "/v1/workflows", &[YAML], definition).expect(201);
        answer["workflow_id"].as_str().expect("a workflow has an id").to_owned()
    }

    /// A workflow at its end.
    ///
    /// # Panics
    /// When there is no such workflow.
    pub fn ended(&self, workflow_id: &str) -> Value {
        self.get(&format!("/v1/workflows/{workflow_id}?wait=true")).expect(200)
    }

    /// Submits a workflow, YAML, and gives it at its end.
    pub fn finish(&self, definition: &str) -> Value {
        self.ended(&self.submit(definition))
    }

    /// Takes the file of a plugin as it is now into service, or out of it, whatever it could do more.
    pub fn reload(&self, plugin: &str) -> Response {
        self.change("POST", &format!("{plugin}/reload?accept=true"), "")
    }

    /// Asks for a change below `/v1/plugins`, with the token.
    pub fn change(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Response {
        let bearer = format!("Bearer {}", self.token());
        self.send(method, &format!("/v1/plugins/{path}"), &[("Authorization", &bearer), ("Content-Type", "application/wasm")], body)
    }

    /// A plugin's status.
    ///
    /// # Panics
    /// When it is not in service.
    pub fn plugin(&self, name: &str) -> Value {
        let listed = self.get("/v1/plugins").expect(200);
        let found = listed["plugins"].as_array().and_then(|plugins| plugins.iter().find(|plugin| plugin["name"] == name));
        found.unwrap_or_else(|| panic!("no plugin {name}: {listed}")).clone()
    }

    /// A live stream.
    pub fn stream(&self, path: &str) -> Stream {
        self.stream_with(path, &[])
    }

    /// A live stream of who shows this token.
    pub fn stream_as(&self, path: &str, token: &str) -> Stream {
        self.stream_with(path, &[("Authorization", &format!("Bearer {token}"))])
    }

    fn stream_with(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        Stream::of(self.open("GET", path, headers, b"").expect("the host answers"))
    }

    /// Runs a client verb against this host.
    pub fn cli(&self, arguments: &[&str]) -> Ran {
        cli::run(cli::command(arguments).args(["--url", &self.url()]))
    }

    /// Sends it a signal by name, such as `TERM`.
    ///
    /// # Panics
    /// When the system has no `kill`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.expect("there is a kill").success(), "the signal was not sent");
    }

    /// Ends it at once, as a power cut would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Ends it gently, and gives its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) -> i32 {
        self.signal("TERM");
        let status = eventually("the host's end", || self.child.try_wait().expect("a child can be waited for"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- what the host said\n{}", self.output());
        }
    }
}
