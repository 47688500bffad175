//! Who may ask a host for what: tokens and their scopes, made, changed and taken away while it runs; and over what: TLS, wherever other machines
//! can reach it.
//! What the routes do once they are reached is other tests'.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use trackside_tests::{Authority, Host, PATIENCE, Response, Site, Socket, Value, eventually, json, request, run};

/// The scopes, and nothing besides.
const SCOPES: [&str; 5] = ["publish", "read", "submit", "plugins", "admin"];

/// The table of the document: which scope each route needs. It is held to the host's own table beside that.
fn routes() -> Vec<(String, String, Option<String>)> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/listening.md");
    let text = fs::read_to_string(document).expect("there is a document");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let routes = rows.filter_map(|(route, scope)| {
        let (method, path) = route.split_once(' ').filter(|(_, path)| path.starts_with('/'))?;
        let scope = scope.strip_prefix('`').and_then(|scope| scope.strip_suffix('`'));
        Some((method.to_owned(), path.to_owned(), scope.map(str::to_owned)))
    });
    routes.collect()
}

/// A host that asks everybody for a token.
fn guarded(site: &Site) -> Host {
    site.start_with(|command| command.env("TRACKSIDE_HTTP_REQUIRE_TOKENS", "true"))
}

/// Makes a token, as an operator would.
fn token(site: &Site, arguments: &[&str]) -> String {
    run(site.command(["token", "add"]).args(arguments).arg("--data").arg(site.data())).ok().trim().to_owned()
}

fn remove(site: &Site, name: &str) {
    run(site.command(["token", "remove", name, "--data"]).arg(site.data())).ok();
}

fn ask(host: &Host, token: &str, method: &str, path: &str) -> Response {
    host.send(method, path, &[("Authorization", &format!("Bearer {token}"))], "")
}

fn detail(answer: &Response) -> String {
    answer.json()["detail"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_route_is_reached_with_its_scope_and_with_no_other() {
    let site = Site::new();
    let host = guarded(&site);
    let tokens: BTreeMap<&str, String> = SCOPES.iter().map(|scope| (*scope, token(&site, &[scope, "--scope", scope]))).collect();
    let routes = routes();
    assert!(routes.len() > 25, "{routes:?}");
    for (method, path, needs) in &routes {
        // Something that none of them does anything for, once it is let through.
        let path = format!("{}?nonsense=1", path.replace("{id}", "7").replace("{name}", "nobody"));
        let anonymous = host.send(method, &path, &[], "");
        let Some(needs) = needs else {
            assert_eq!(anonymous.status, 400, "{method} {path}: {anonymous}");
            continue;
        };
        assert_eq!(anonymous.status, 401, "{method} {path}: {anonymous}");
        assert_eq!(anonymous.header("www-authenticate"), Some("Bearer"), "{anonymous}");
        assert!(detail(&anonymous).contains(&format!("trackside token add NAME --scope {needs}")), "{anonymous}");
        let stranger = ask(&host, &"0".repeat(64), method, &path);
        assert_eq!((stranger.status, stranger.header("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")), "{stranger}");
        for (scope, token) in &tokens {
            let answer = ask(&host, token, method, &path);
            if scope == needs {
                assert!(![401, 403].contains(&answer.status), "{scope} for {method} {path}: {answer}");
                continue;
            }
            assert_eq!(answer.status, 403, "{scope} for {method} {path}: {answer}");
            assert_eq!(answer.json()["needs"], needs.as_str(), "{answer}");
            let said = detail(&answer);
            assert!(said.contains(&format!("needs the scope '{needs}', and the token '{scope}' has {scope}")), "{said}");
            assert!(said.contains(&format!("trackside token add NAME --scope {needs}")), "{said}");
        }
        // The host's own has every scope.
        assert!(![401, 403].contains(&ask(&host, &host.token(), method, &path).status), "{method} {path}");
    }
}

#[test]
fn a_command_is_submitted_whatever_route_it_takes() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = guarded(&site);
    let (publishes, submits) =
        (token(&site, &["a", "--scope", "publish"]), token(&site, &["b", "--scope", "publish", "--scope", "submit"]));
    let command = json!({"event_type": "WorkflowCancel", "source_component": "shop", "payload": {"workflow_id": "nobody"}});
    let send = |token: &str, media: &str, query: &str, body: String| {
        let bearer = format!("Bearer {token}");
        host.send("POST", &format!("/v1/events{query}"), &[("Authorization", &bearer), ("Content-Type", media)], body)
    };
    let single = |token| send(token, "application/json", "", command.to_string());
    assert!(detail(&single(&publishes)).contains("publishing 'WorkflowCancel' needs the scope 'submit'"), "{}", single(&publishes));
    // Nobody cancels what is not there; but he was let through to hear of it.
    assert_eq!((single(&publishes).status, single(&submits).status), (403, 422));
    let order = json!({"event_type": "order:placed", "source_component": "shop"});
    for query in ["", "?atomic=true"] {
        let array = send(&publishes, "application/json", query, json!([order, command]).to_string());
        assert_eq!(array.status, 403, "{array}");
    }
    let lines = send(&publishes, "application/x-ndjson", "", format!("{order}\n{command}\n")).json_lines();
    assert_eq!((lines[0]["status"].as_u64(), lines[1]["status"].as_u64()), (Some(201), Some(403)), "{lines:?}");
}

#[test]
fn tokens_come_and_go_while_the_host_runs() {
    let site = Site::new();
    let host = guarded(&site);
    let reads = |token: &str| ask(&host, token, "GET", "/v1/events").status;
    // At once, by whoever has just been given it.
    let (old, soon) = (token(&site, &["old", "--scope", "read"]), token(&site, &["soon", "--scope", "read", "--for", "10s"]));
    assert_eq!((reads(&old), reads(&soon)), (200, 200));
    // Rotated: the new one counts before the old one goes.
    let new = token(&site, &["new", "--scope", "read"]);
    assert_eq!((reads(&old), reads(&new)), (200, 200));
    remove(&site, "old");
    eventually("the old token to count no more", || (reads(&old) == 401).then_some(()));
    eventually("the other one to expire", || (reads(&soon) == 401).then_some(()));
    assert_eq!(reads(&new), 200);
    // The host's own, by its file.
    let own = host.token();
    fs::write(site.data().join("token"), "0123456789abcdef0123456789abcdef\n").expect("the file can be written");
    eventually("the host's former token to count no more", || (reads(&own) == 401).then_some(()));
    assert_eq!(reads(&host.token()), 200);
    // What the list shows is what there is, and no secret.
    let listed = site.read(["token", "list", "--json"]);
    let text = listed.to_string();
    let names: Vec<Value> = listed.json_lines().iter().map(|token| token["name"].clone()).collect();
    assert_eq!(names, ["soon", "new"]);
    assert!(!text.contains(&new), "{text}");
    // A file that somebody broke changes nothing.
    fs::write(site.data().join("tokens.toml"), "[[tokn]]\n").expect("the file can be written");
    eventually("the host to tell of it", || host.output().contains("the tokens are as they were").then_some(()));
    assert_eq!((reads(&new), reads(&old)), (200, 401));
}

#[test]
fn what_goes_on_for_long_ends_with_its_token() {
    let site = Site::new();
    let host = guarded(&site);
    let (leaves, stays) = (token(&site, &["leaves", "--scope", "read"]), token(&site, &["stays", "--scope", "read"]));
    let publishes = token(&site, &["publishes", "--scope", "publish"]);
    let operator = host.token();
    assert_eq!(ask(&host, &operator, "PUT", "/v1/readers/billing").status, 201);
    let sse = |token: &str| host.stream_as("/v1/events/stream", token);
    let socket = |token: &str, path: &str| Socket::open_as(host.address(), path, token);
    let (mut cut, mut kept) = (sse(&leaves), sse(&stays));
    let (mut cut_socket, mut kept_socket) = (socket(&leaves, "/v1/events/socket"), socket(&stays, "/v1/events/socket"));
    let mut cut_reader = socket(&leaves, "/v1/readers/billing/socket");
    let mut upload = Upload::begin(&host, &publishes);
    assert!(upload.line().contains("\"status\":201"));

    remove(&site, "leaves");
    remove(&site, "publishes");
    // It ends: a test that waits for more than that fails for want of anything.
    while cut.next_sent().is_some() {}
    for socket in [&mut cut_socket, &mut cut_reader] {
        let end = eventually("the end to be told", || socket.next_message().filter(|message| message["end"].is_string()));
        assert!(end["end"].as_str().is_some_and(|end| end.contains("the token")), "{end}");
        assert!(socket.next_message().is_none(), "the WebSocket has ended");
    }
    let last = upload.until_its_end();
    assert!(last.contains("\"status\":401") && last.contains("the token"), "{last}");

    // Those of another token go on.
    let bearer = format!("Bearer {operator}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    host.send("POST", "/v1/events", &headers, json!({"event_type": "order:paid", "source_component": "shop"}).to_string()).expect(201);
    kept.until("what was published", |sent| sent.event_type() == "order:paid");
    let is_it = |message: &Value| message["event"]["event_type"] == "order:paid";
    while !is_it(&kept_socket.next_message().expect("the WebSocket goes on")) {}
}

/// NDJSON that is being sent, and never ends by itself.
struct Upload {
    connection: TcpStream,
    answers: std::io::BufReader<TcpStream>,
}

impl Upload {
    fn begin(host: &Host, token: &str) -> Self {
        let mut connection = TcpStream::connect(host.address()).expect("the host listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
            host.address()
        );
        connection.write_all(head.as_bytes()).expect("the host listens");
        let event = "{\"event_type\": \"order:placed\", \"source_component\": \"shop\"}\n";
        connection.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).expect("the host listens");
        let answers = std::io::BufReader::new(connection.try_clone().expect("a socket has a second handle"));
        Self { connection, answers }
    }

    /// The next line that says what became of one.
    fn line(&mut self) -> String {
        use std::io::BufRead as _;
        let mut line = String::new();
        while !line.contains("\"status\"") {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).expect("the host answers"), 0, "the answer has ended");
        }
        line
    }

    /// The last line.
    fn until_its_end(&mut self) -> String {
        let last = self.line();
        // Nothing of what comes now is taken.
        let _ = self.connection.write_all(b"2\r\n{}\r\n");
        last
    }
}

#[test]
fn the_command_line_shows_a_token() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = guarded(&site);
    let secret = token(&site, &["ops", "--scope", "read", "--scope", "publish", "--scope", "plugins"]);
    let file = site.file("ops.token", format!("{secret}\n"));
    let verb = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command.args(["--url", &host.url()]);
        command
    };
    let refused = run(&mut verb(&["events"]));
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused}");
    assert!(refused.stderr.contains("GET /v1/events needs a token with the scope 'read'"), "{refused}");
    run(&mut verb(&["events", "--token", &secret])).ok();
    run(verb(&["publish", "--type", "order:placed"]).env("TRACKSIDE_TOKEN", &secret)).ok();
    run(verb(&["plugin", "list"]).env("TRACKSIDE_TOKEN_FILE", &file)).ok();
    run(verb(&["plugin", "bypass", "sim", "--for", "1m"]).arg("--token-file").arg(&file)).ok();
    // What it did is told in its name.
    let bypassed = run(&mut verb(&["events", "--type", "plugin:bypassed", "--json", "--token", &secret])).json_lines();
    assert_eq!(bypassed[0]["payload"]["by"], "ops", "{bypassed:?}");
    let lacks = run(&mut verb(&["dead-letters", "purge", "--all", "--token", &secret]));
    assert!(lacks.code == 1 && lacks.stderr.contains("needs the scope 'admin', and the token 'ops' has publish, read, plugins"), "{lacks}");
}

#[test]
fn on_this_machine_nothing_is_asked_but_for_plugins_and_decisions() {
    let site = Site::new();
    let host = site.start();
    for (method, path, needs) in routes() {
        let path = format!("{}?nonsense=1", path.replace("{id}", "7").replace("{name}", "nobody"));
        let asked = matches!(needs.as_deref(), Some("plugins" | "admin"));
        let answer = host.send(&method, &path, &[], "");
        assert_eq!(answer.status == 401, asked, "{method} {path}: {answer}");
    }
    // A wrong one is a mistake that is better told.
    assert_eq!(ask(&host, "nonsense", "GET", "/v1/events").status, 401);
    assert_eq!(request(host.address(), "GET", "/v1/events", &[("Authorization", "Basic eA==")], b"").expect("an answer").status, 401);
}

#[test]
fn near_guesses_are_no_tokens() {
    let site = Site::new();
    let host = guarded(&site);
    let secret = token(&site, &["a", "--scope", "read"]);
    let mut near = secret.clone();
    near.replace_range(63.., if secret.ends_with('0') { "1" } else { "0" });
    for guess in [near, secret[..63].to_owned(), format!("{secret}0"), secret.replace(|c: char| c.is_ascii_digit(), "0"), String::new()] {
        assert_eq!(ask(&host, &guess, "GET", "/v1/events").status, 401, "{guess}");
    }
    // Neither is what is kept of it.
    let kept = fs::read_to_string(site.data().join("tokens.toml")).expect("there is a file");
    let digest = kept.lines().find_map(|line| line.strip_prefix("sha256 = \"")?.strip_suffix('"')).expect("it has a digest");
    assert_eq!(ask(&host, digest, "GET", "/v1/events").status, 401);
    assert_eq!(ask(&host, &secret, "GET", "/v1/events").status, 200);
}

#[test]
fn beyond_loopback_everything_goes_over_tls_and_needs_a_token() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let host = site.start_secure(&authority, |command| command);
    let reads = token(&site, &["reads", "--scope", "read"]);
    assert_eq!(host.get("/healthz").status, 200);
    assert_eq!(host.get("/v1/events").status, 401);
    assert_eq!(ask(&host, &reads, "GET", "/v1/events").status, 200);
    // By its address and with its port; by no name that it was not given.
    let named = |name: &str| host.send("GET", "/healthz", &[("Host", name)], "").status;
    let port = host.address().port();
    assert_eq!([named(&format!("192.0.2.7:{port}")), named(&format!("evil.example:{port}")), named("127.0.0.1:1")], [200, 403, 403]);
    let stream_of = |origin: &str| host.send("GET", "/healthz", &[("Origin", origin)], "").status;
    assert_eq!([stream_of(&host.url()), stream_of(&host.url().replace("https", "http"))], [200, 403]);

    // What goes on for long ends with its token here too.
    let mut stream = host.stream_as("/v1/events/stream", &reads);
    remove(&site, "reads");
    assert!(stream.next_sent().is_none(), "the stream has ended");

    // Whoever speaks plainly is told what to do.
    let plain = request(host.address(), "GET", "/v1/events", &[], b"").expect("an answer");
    assert_eq!((plain.status, detail(&plain).as_str()), (400, "this port speaks TLS; write the address with https://"));
    // Whoever speaks anything else is let go.
    let mut noise = TcpStream::connect(host.address()).expect("the host listens");
    noise.write_all(b"\x16\x03\x01nonsense and more nonsense").expect("it can be sent");
    noise.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut rest = Vec::new();
    // It may be cut off with what was sent unread.
    let _ = noise.read_to_end(&mut rest);
    assert_eq!(host.get("/healthz").status, 200);
    assert_eq!(host.stop(), 0);
}

#[test]
fn a_host_is_trusted_by_its_certificate_alone() {
    let site = Site::new();
    let (authority, folder) = (Authority::new(site.root()), site.root().join("other"));
    fs::create_dir(&folder).expect("a folder can be made");
    let other = Authority::new(&folder);
    let host = site.start_secure(&authority, |command| command.env("TRACKSIDE_HTTP_NAMES", "desk.example"));
    let file = site.file("ops.token", token(&site, &["ops", "--scope", "read", "--scope", "publish"]));
    let verb = |arguments: &[&str], url: &str, ca: Option<&Path>| {
        let mut command = site.command(arguments);
        command.args(["--url", url, "--token-file"]).arg(&file).args(ca.map(|_| "--ca")).args(ca);
        run(&mut command)
    };
    let named = host.send("GET", "/healthz", &[("Host", &format!("desk.example:{}", host.address().port()))], "");
    assert_eq!(named.status, 200, "{named}");
    let url = host.url();
    verb(&["publish", "--type", "order:placed"], &url, Some(authority.file())).ok();
    let listed = verb(&["events", "--type", "order:placed", "--json"], &url, Some(authority.file())).json_lines();
    assert_eq!(listed.len(), 1, "{listed:?}");
    let port = host.address().port();
    for (url, ca) in [
        // Nobody that this machine trusts vouches for it; somebody else does; it is vouched for under another name.
        (url.as_str(), None),
        (url.as_str(), Some(other.file())),
        (format!("https://localhost:{port}").as_str(), Some(authority.file())),
    ] {
        let ran = verb(&["events"], url, ca);
        assert_eq!(ran.code, 3, "{ran}");
        assert!(ran.stderr.contains("is not trusted") && ran.stderr.contains("--ca FILE"), "{ran}");
    }
    // Nothing secret goes where others could read it.
    let ran = verb(&["events"], &format!("http://192.0.2.7:{port}"), None);
    assert!(ran.code == 2 && ran.stderr.contains("a token is not sent to"), "{ran}");
    // A token of this machine's own host is not shown to another.
    let ran = run(site.command(["plugin", "reload", "sim", "--url", "https://192.0.2.7:1"]).env("TRACKSIDE_DATA_DIR", site.data()));
    assert!(ran.code == 1 && ran.stderr.contains("https://192.0.2.7:1 asks for a token"), "{ran}");
}

#[test]
fn a_certificate_is_renewed_while_the_host_runs() {
    let site = Site::new();
    let (authority, folder) = (Authority::new(site.root()), site.root().join("next"));
    fs::create_dir(&folder).expect("a folder can be made");
    let next = Authority::new(&folder);
    let host = site.start_secure(&authority, |command| command);
    let reads = token(&site, &["reads", "--scope", "read"]);
    let answers = |ca: &Path| run(site.command(["events", "--url", &host.url(), "--token", &reads, "--ca"]).arg(ca)).code == 0;
    assert!(answers(authority.file()) && !answers(next.file()));
    // One that is none changes nothing.
    fs::write(site.root().join("host.pem"), "no certificate").expect("a file can be written");
    eventually("the host to tell of it", || {
        assert!(answers(authority.file()));
        host.output().contains("the certificate stays as it was").then_some(())
    });
    // One without its key neither.
    next.issue(&folder, &["127.0.0.1"]);
    fs::copy(folder.join("host.pem"), site.root().join("host.pem")).expect("a file can be copied");
    eventually("the host to tell of it", || {
        assert!(answers(authority.file()));
        host.output().contains("is not the key of the certificate").then_some(())
    });
    fs::copy(folder.join("host.key"), site.root().join("host.key")).expect("a file can be copied");
    eventually("the new certificate to serve", || answers(next.file()).then_some(()));
    assert!(!answers(authority.file()));
}

#[test]
fn who_dawdles_at_the_handshake_holds_a_place_and_loses_it() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let host = site
        .start_secure(&authority, |command| command.env("TRACKSIDE_HTTP_CONNECTIONS", "2").env("TRACKSIDE_HTTP_READ_TIMEOUT_MS", "3000"));
    let mut idle: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(host.address()).expect("the host listens")).collect();
    // Begins and does not go on, which is no better than not to begin.
    idle[1].write_all(&[0x16]).expect("it can be sent");
    // There is no place now, until they have lost theirs.
    assert_eq!(host.get("/healthz").status, 200);
    for idle in &mut idle {
        idle.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut rest = Vec::new();
        let read = idle.read_to_end(&mut rest);
        assert!(read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset) || rest.len() < 100, "{rest:?}");
    }
}
