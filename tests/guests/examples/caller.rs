//! `caller`: a guest that calls out as it is told, kindly or not: where it may not, too often, too much, without end, with a secret.
//! Leaves what comes of it to its caller: everything is in its answers and its `kv`.
//!
//! `caller/call` takes [`Call`]. As an observer it gets the setting `url` for each batch, and keeps what came of it in `kv` under `got`; as a
//! control handler it does the same and proceeds with the event as it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trackside_sdk::http::{self, Pending, Response};
use trackside_sdk::{
    Context, Control, Delivery, Description, Error, Event, Events, Failure, Filter, Method, Methods, Observer, Plugin, Signal, Task,
    Worker, kv, log, secrets, settings,
};

struct Caller;

impl Plugin for Caller {
    fn describe() -> Description {
        Description::new("caller").summary("Calls out.").controls(Filter::facts()).observes(Filter::facts())
    }
}

/// What is to be sent, and how often.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Call {
    /// `{n}` in it is the number of the request, from 0.
    url: String,
    method: String,
    headers: BTreeMap<String, String>,
    body: String,
    /// In its place: this many bytes.
    body_bytes: usize,
    timeout_ms: Option<u64>,
    /// One after the other.
    times: u32,
    /// This many at a time before the first is waited for.
    together: u32,
    /// Redirects that are followed, each by a request of its own.
    follow: u32,
    /// The name of a secret: sent in `authorization`, and shown in the path, the body and a log line.
    secret: Option<String>,
    /// What is to be signed with that secret.
    sign: Option<String>,
}

impl Default for Call {
    fn default() -> Self {
        Call {
            url: String::new(),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: String::new(),
            body_bytes: 0,
            timeout_ms: None,
            times: 1,
            together: 0,
            follow: 0,
            secret: None,
            sign: None,
        }
    }
}

/// What came of it.
#[derive(Serialize, Default)]
struct Came {
    /// Of the last answer.
    status: Option<u16>,
    body: Option<String>,
    headers: BTreeMap<String, String>,
    /// Why there is no answer.
    error: Option<String>,
    /// Answers that came.
    answers: u32,
    placeholder: Option<String>,
    signature: Option<String>,
}

fn request(call: &Call, url: &str, placeholder: Option<&str>) -> http::Request {
    let mut request = http::request(&call.method, url);
    for (name, value) in &call.headers {
        request = request.header(name, value.as_str());
    }
    let mut body = if call.body_bytes > 0 { "x".repeat(call.body_bytes) } else { call.body.clone() };
    if let Some(placeholder) = placeholder {
        request = request.bearer(placeholder);
        body.push_str(placeholder);
    }
    if let Some(timeout_ms) = call.timeout_ms {
        request = request.timeout_ms(timeout_ms);
    }
    request.body(body)
}

fn call(mut call: Call, _task: &Task) -> Result<Came, Failure> {
    let mut came = Came::default();
    if let Some(name) = call.secret.clone() {
        match secrets::placeholder(&name) {
            Ok(placeholder) => {
                log::info(format!("the secret is {placeholder}"));
                call.url = call.url.replace("SECRET", &placeholder);
                came.placeholder = Some(placeholder);
            }
            Err(refusal) => came.error = Some(format!("{refusal:?}")),
        }
        if let Some(message) = &call.sign {
            came.signature = secrets::hmac_hex(&name, message.as_bytes()).ok();
        }
    }
    if !call.url.is_empty() {
        for number in 0..call.times {
            let url = call.url.replace("{n}", &number.to_string());
            match follow(&call, url, came.placeholder.as_deref()) {
                Ok(answers) => answers.into_iter().for_each(|answer| take(&mut came, &answer)),
                Err(error) => came.error = Some(format!("{error:?}")),
            }
        }
    }
    Ok(came)
}

fn take(came: &mut Came, answer: &Response) {
    came.answers += 1;
    came.status = Some(answer.status);
    came.body = Some(answer.text());
    let texts = answer.headers.iter().map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()));
    came.headers = texts.collect();
}

fn follow(call: &Call, mut url: String, placeholder: Option<&str>) -> Result<Vec<Response>, http::Error> {
    if call.together > 0 {
        let started: Result<Vec<Pending>, _> = (0..call.together).map(|_| request(call, &url, placeholder).start()).collect();
        return started?.into_iter().map(Pending::wait).collect();
    }
    let mut left = call.follow;
    loop {
        let answer = request(call, &url, placeholder).send()?;
        match answer.header("location").filter(|_| left > 0) {
            Some(location) => url = location.to_owned(),
            None => return Ok(vec![answer]),
        }
        left -= 1;
    }
}

/// Gets the setting's URL, and says what came of it.
fn get() -> Result<String, Error> {
    let url: String = settings::get("url")?.unwrap_or_default();
    Ok(match http::get(url).send() {
        Ok(answer) => answer.status.to_string(),
        Err(error) => format!("{error:?}"),
    })
}

impl Observer for Caller {
    fn observe(_events: Events, _delivery: &Delivery) -> Result<(), Error> {
        let got = get()?;
        kv::set("got", &got)?;
        kv::increment("observed", 1)?;
        Ok(())
    }
}

impl Control for Caller {
    fn check(_event: &Event, _context: &Context) -> Signal {
        if settings::get("steers").ok().flatten() == Some(true) {
            let got = get().unwrap_or_else(|error| error.to_string());
            return match kv::set("decided", got) {
                Ok(()) => Signal::proceed(),
                Err(refusal) => Signal::error(refusal.to_string()),
            };
        }
        Signal::proceed()
    }
}

impl Worker for Caller {
    fn methods() -> Methods {
        Methods::new().with(Method::new("caller/call", "Calls out.", call))
    }
}

trackside_sdk::export!(Caller: control, observer, worker);
