//! Grants as data: what is written, which requests it lets out, and which addresses are everybody's.

use super::*;

fn grant(written: &str) -> HttpGrant {
    serde_json::from_str(written).unwrap_or_else(|error| panic!("{written}: {error}"))
}

/// `POST https://api.example.com:8443/v1/x`.
fn request(text: &str) -> Request {
    let (method, url) = text.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (place, path) = rest.split_at(rest.find('/').unwrap());
    let plain = scheme == "http";
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap()),
        _ => (place, default_port(plain)),
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    Request { plain, host, port, method: method.to_owned(), path: path.to_owned() }
}

#[test]
fn a_request_is_let_out_only_if_each_part_of_it_is_granted() {
    let cases = [
        (r#"{"host": "api.example.com"}"#, "GET https://api.example.com/", true),
        (r#"{"host": "api.example.com"}"#, "DELETE https://API.example.COM/any/thing", true),
        (r#"{"host": "API.example.com"}"#, "GET https://api.example.com/", true),
        (r#"{"host": "api.example.com"}"#, "GET https://api.example.com:8443/", false),
        (r#"{"host": "api.example.com"}"#, "GET http://api.example.com/", false),
        (r#"{"host": "api.example.com"}"#, "GET https://api.example.com./", false),
        (r#"{"host": "api.example.com"}"#, "GET https://api.example.com.evil.test/", false),
        (r#"{"host": "api.example.com"}"#, "GET https://xapi.example.com/", false),
        (r#"{"host": "api.example.com", "port": 8443}"#, "GET https://api.example.com:8443/", true),
        (r#"{"host": "api.example.com", "port": 8443}"#, "GET https://api.example.com/", false),
        (r#"{"host": "api.example.com", "plain": true}"#, "GET http://api.example.com/", true),
        (r#"{"host": "api.example.com", "plain": true}"#, "GET https://api.example.com/", false),
        (r#"{"host": "api.example.com", "plain": true, "port": 443}"#, "GET https://api.example.com/", false),
        (r#"{"host": "*.example.com"}"#, "GET https://a.b.example.com/", true),
        (r#"{"host": "*.example.com"}"#, "GET https://example.com/", false),
        (r#"{"host": "*.example.com"}"#, "GET https://badexample.com/", false),
        (r#"{"host": "*.example.com"}"#, "GET https://é.example.com/", true),
        (r#"{"host": "*"}"#, "GET https://anything.test/", true),
        (r#"{"host": "[::1]"}"#, "GET https://[::1]/", true),
        (r#"{"host": "a.test", "methods": ["POST", "PUT"]}"#, "PUT https://a.test/", true),
        (r#"{"host": "a.test", "methods": ["POST", "PUT"]}"#, "GET https://a.test/", false),
        (r#"{"host": "a.test", "methods": []}"#, "GET https://a.test/", false),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v1", true),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v1/x", true),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v10", false),
        (r#"{"host": "a.test", "path_prefix": "/v1/"}"#, "GET https://a.test/v1", false),
        (r#"{"host": "a.test", "path_prefix": "/v1/"}"#, "GET https://a.test/v1/x..y", true),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v1/../admin", false),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v1/%2E%2e/admin", false),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v1/..%2fadmin", false),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v1/..\\admin", false),
        (r#"{"host": "a.test", "path_prefix": "/v1"}"#, "GET https://a.test/v1/..;x/admin", false),
        (r#"{"host": "a.test"}"#, "GET https://a.test/../x", true),
    ];
    for (written, asked, allowed) in cases {
        assert_eq!(grant(written).allows(&request(asked)), allowed, "{written} and {asked}");
    }
}

#[test]
fn what_is_no_grant_says_why() {
    let cases = [
        (r#"{"host": "https://api.example.com"}"#, "is more than a host"),
        (r#"{"host": "api.example.com/v1"}"#, "`path_prefix` narrows"),
        (r#"{"host": "api.example.com:8443"}"#, "write host = \"api.example.com\" and port = 8443"),
        (r#"{"host": "api..com"}"#, "not the name or the address"),
        (r#"{"host": "a*.example.com"}"#, "not the name or the address"),
        (r#"{"host": ""}"#, "not the name or the address"),
        (r#"{"host": "a.test", "port": 0}"#, "no port"),
        (r#"{"host": "a.test", "methods": ["get"]}"#, "'get' is not a method"),
        (r#"{"host": "a.test", "path_prefix": "v1"}"#, "not the beginning of a path"),
        (r#"{"host": "a.test", "path_prefix": "/v1/../v2"}"#, "not the beginning of a path"),
        (r#"{"host": "a.test", "path": "/v1"}"#, "unknown field `path`"),
    ];
    for (written, says) in cases {
        let error = serde_json::from_str::<HttpGrant>(written).expect_err(written).to_string();
        assert!(error.contains(says), "{written}: {error}");
    }
    let cases = [
        (r#"{"name": "key"}"#, "file = \"PATH\" or env"),
        (r#"{"name": "key", "file": "/a", "env": "B"}"#, "file = \"PATH\" or env"),
        (r#"{"name": "key", "env": "A=B"}"#, "file = \"PATH\" or env"),
        (r#"{"name": "a key", "env": "B"}"#, "no name of a secret"),
        (r#"{"name": "key", "env": "B", "hosts": ["*"]}"#, "would send it to everybody"),
    ];
    for (written, says) in cases {
        let error = serde_json::from_str::<SecretGrant>(written).expect_err(written).to_string();
        assert!(error.contains(says), "{written}: {error}");
    }
}

#[test]
fn a_wider_grant_covers_a_narrower_one_and_not_the_other_way() {
    let whole = r#"{"host": "a.test", "methods": ["GET", "PUT"], "path_prefix": "/v1"}"#;
    for narrower in [
        whole,
        r#"{"host": "a.test", "methods": ["GET"], "path_prefix": "/v1"}"#,
        r#"{"host": "a.test", "methods": ["GET", "PUT"], "path_prefix": "/v1/x"}"#,
    ] {
        assert!(grant(whole).covers(&grant(narrower)), "{narrower}");
    }
    for wider in [
        r#"{"host": "b.test", "methods": ["GET", "PUT"], "path_prefix": "/v1"}"#,
        r#"{"host": "*.test", "methods": ["GET", "PUT"], "path_prefix": "/v1"}"#,
        r#"{"host": "a.test", "methods": ["GET", "PUT"], "path_prefix": "/v1", "port": 444}"#,
        r#"{"host": "a.test", "methods": ["GET", "POST"], "path_prefix": "/v1"}"#,
        r#"{"host": "a.test", "path_prefix": "/v1"}"#,
        r#"{"host": "a.test", "methods": ["GET", "PUT"]}"#,
        r#"{"host": "a.test", "methods": ["GET", "PUT"], "path_prefix": "/v1", "private": true}"#,
        r#"{"host": "a.test", "methods": ["GET", "PUT"], "path_prefix": "/v1", "plain": true, "port": 443}"#,
    ] {
        assert!(!grant(whole).covers(&grant(wider)), "{wider}");
    }
    let host = |text: &str| HostPattern::parse(text).unwrap();
    for (wide, narrow, covered) in [
        ("*", "*.a.test", true),
        ("*.test", "*.a.test", true),
        ("*.a.test", "*.a.test", true),
        ("*.a.test", "*.test", false),
        ("*.a.test", "*.ba.test", false),
        ("*.a.test", "*", false),
        ("x.a.test", "*.a.test", false),
    ] {
        assert_eq!(host(wide).covers(&host(narrow)), covered, "{wide} and {narrow}");
    }
}

#[test]
fn the_lines_that_are_named_grant_the_request_and_no_more() {
    for (asked, lines) in [
        ("POST https://a.test/v1/x", "[[grants.http]]\nhost = \"a.test\"\nmethods = [\"POST\"]"),
        ("GET http://a.test:8080/", "[[grants.http]]\nhost = \"a.test\"\nport = 8080\nmethods = [\"GET\"]\nplain = true"),
    ] {
        assert_eq!(request(asked).lines(&[], false), lines);
    }
    let granted = [grant(r#"{"host": "a.test", "path_prefix": "/v1"}"#)];
    let asked = request("POST https://a.test/v2/x");
    assert_eq!(asked.lines(&granted, false), "[[grants.http]]\nhost = \"a.test\"\nmethods = [\"POST\"]\npath_prefix = \"/v2/x\"");
    let asked = request("POST https://a.test/v1");
    assert_eq!(asked.lines(&granted, true), "[[grants.http]]\nhost = \"a.test\"\nmethods = [\"POST\"]\nprivate = true");
}

#[test]
fn what_is_shown_of_a_secret_is_its_name_and_its_hosts() {
    let secret: SecretGrant = serde_json::from_str(r#"{"name": "key", "file": "/run/x", "hosts": ["a.test", "*.b.test"]}"#).unwrap();
    assert_eq!(secret.to_string(), "key for a.test and *.b.test");
    assert_eq!(serde_json::to_string(&secret).unwrap(), r#"{"name":"key","hosts":["a.test","*.b.test"]}"#);
    let bare: SecretGrant = serde_json::from_str(r#"{"name": "key", "env": "KEY"}"#).unwrap();
    assert_eq!(bare.to_string(), "key for signing alone");
}
