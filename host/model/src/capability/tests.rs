//! Swaps as data: what is changed about a plugin, and the diff that comes of it. A `+` stands before what grows.

use expect_test::{Expect, expect};

use super::*;
use crate::{
    event::{Severity, Text},
    outside::HttpGrant,
    plugin::{BreakerPolicy, Digest, EffectClass, Method, OnFault, Roles},
};

fn plugin() -> PluginInfo {
    let roles = Roles { observer: true, control: true, worker: true };
    PluginInfo {
        name: Text::from("p"),
        version: Digest::of(b"1"),
        settings: Digest::of(b""),
        display_name: "p".to_owned(),
        display_version: "1".to_owned(),
        summary: String::new(),
        roles,
        effect_class: EffectClass::Stateful,
        imports: Vec::new(),
        observes: types(&["order:*"]),
        controls: types(&["order:*"]),
        priority: 100,
        on_fault: OnFault::Proceed,
        batches: false,
        methods: vec![method("p/run")],
        triggers: Vec::new(),
        workers: 1,
        limits: Limits::for_roles(roles),
        grants: Grants::default(),
        breaker: BreakerPolicy::default(),
        allow_growth: false,
        live_behind: None,
    }
}

fn types(patterns: &[&str]) -> Filter {
    Filter::types(patterns.iter().copied()).unwrap()
}

fn method(name: &str) -> Method {
    Method { name: Text::from(name), summary: String::new(), parameters: None, returns: None }
}

fn patterns(texts: &[&str]) -> Option<Vec<Pattern>> {
    types(texts).event_types
}

/// From `before` to `after`, and back.
#[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
fn check(before: impl Fn(&mut PluginInfo), after: impl Fn(&mut PluginInfo), forth: Expect, back: Expect) {
    let (mut old, mut new) = (plugin(), plugin());
    before(&mut old);
    after(&mut new);
    let text = |diff: CapabilityDiff| diff.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    forth.assert_eq(&text(CapabilityDiff::between(&old, &new)));
    back.assert_eq(&text(CapabilityDiff::between(&new, &old)));
}

fn as_it_is(_: &mut PluginInfo) {}

#[test]
fn other_bytes_alone_are_no_change() {
    let mut other = plugin();
    other.version = Digest::of(b"2");
    other.settings = Digest::of(b"x = 1");
    other.summary = "another".to_owned();
    assert_eq!(CapabilityDiff::between(&plugin(), &other), CapabilityDiff::default());
}

#[test]
fn roles_methods_and_classes_grow() {
    check(
        |info| info.roles.worker = false,
        as_it_is,
        expect!["+ roles: observer, control -> observer, control, worker"],
        expect!["  roles: observer, control, worker -> observer, control"],
    );
    check(
        as_it_is,
        |info| info.methods.push(method("p/more")),
        expect!["+ methods: p/run -> p/run, p/more"],
        expect!["  methods: p/run, p/more -> p/run"],
    );
    check(
        as_it_is,
        |info| info.effect_class = EffectClass::Effectful,
        expect!["+ effect_class: stateful -> effectful"],
        expect!["  effect_class: effectful -> stateful"],
    );
    check(as_it_is, |info| info.workers = 8, expect!["+ workers: 1 -> 8"], expect!["  workers: 8 -> 1"]);
}

#[test]
fn earlier_and_holding_is_more() {
    check(as_it_is, |info| info.priority = 10, expect!["+ priority: 100 -> 10"], expect!["  priority: 10 -> 100"]);
    check(as_it_is, |info| info.on_fault = OnFault::Fail, expect!["+ on_fault: proceed -> fail"], expect!["  on_fault: fail -> proceed"]);
}

#[test]
fn wider_filters_grow_and_narrower_ones_do_not() {
    check(
        as_it_is,
        |info| info.controls = types(&["order:placed"]),
        expect!["  controls: order:* -> order:placed"],
        expect!["+ controls: order:placed -> order:*"],
    );
    check(
        as_it_is,
        |info| info.observes = Filter { min_severity: Some(Severity::Error), ..types(&["order:*"]) },
        expect!["  observes: order:* -> order:*; error or above"],
        expect!["+ observes: order:*; error or above -> order:*"],
    );
    check(
        |info| info.observes = Filter { source_components: Some(vec!["shop".to_owned()]), ..Filter::default() },
        |info| info.observes = Filter::default(),
        expect!["+ observes: every fact; from shop -> every fact"],
        expect!["  observes: every fact -> every fact; from shop"],
    );
    // Narration is had by naming it alone.
    check(
        |info| info.observes = Filter::default(),
        |info| info.observes = types(&["task:*"]),
        expect!["+ observes: every fact -> task:*"],
        expect!["+ observes: task:* -> every fact"],
    );
    // A filter of a role that it does not have asks for nothing.
    check(
        |info| info.roles.control = false,
        |info| {
            info.roles.control = false;
            info.controls = Filter::default();
            info.priority = 1;
        },
        expect![""],
        expect![""],
    );
}

#[test]
fn an_import_grows_where_its_grant_stands_ready() {
    let clocks = |info: &mut PluginInfo| info.imports = vec!["wasi:clocks/wall-clock@0.2.6".to_owned(), "wasi:io/streams@0.2.6".to_owned()];
    check(
        as_it_is,
        clocks,
        expect!["  imports wasi:clocks: not imported -> imported, not granted"],
        expect!["  imports wasi:clocks: imported, not granted -> not imported"],
    );
    check(
        |info| info.grants.clock = true,
        |info| {
            info.grants.clock = true;
            clocks(info);
        },
        expect!["+ imports wasi:clocks: not imported -> imported and granted"],
        expect!["  imports wasi:clocks: imported and granted -> not imported"],
    );
    let http = |info: &mut PluginInfo| info.imports = vec!["wasi:http/outgoing-handler@0.2.6".to_owned()];
    check(
        as_it_is,
        http,
        expect!["  imports wasi:http: not imported -> imported, not granted"],
        expect!["  imports wasi:http: imported, not granted -> not imported"],
    );
    let granted = |info: &mut PluginInfo| info.grants.http = https(r#"{"host": "a.test"}"#);
    check(
        granted,
        |info| {
            granted(info);
            http(info);
        },
        expect!["+ imports wasi:http: not imported -> imported and granted"],
        expect!["  imports wasi:http: imported and granted -> not imported"],
    );
}

#[test]
fn grants_grow_by_what_they_reach() {
    check(as_it_is, |info| info.grants.kv = true, expect!["+ grants.kv: false -> true"], expect!["  grants.kv: true -> false"]);
    check(
        |info| info.grants.publish = patterns(&["order:*"]),
        |info| info.grants.publish = patterns(&["order:placed", "order:gone"]),
        expect!["  grants.publish: order:* -> order:placed, order:gone"],
        expect!["+ grants.publish: order:placed, order:gone -> order:*"],
    );
    check(
        as_it_is,
        |info| info.grants.publish = patterns(&["order:*"]),
        expect!["+ grants.publish: none -> order:*"],
        expect!["  grants.publish: order:* -> none"],
    );
    check(
        |info| info.grants.query = patterns(&["order:*"]),
        |info| info.grants.query = patterns(&["**"]),
        expect!["+ grants.query: order:* -> **"],
        expect!["  grants.query: ** -> order:*"],
    );
    check(
        as_it_is,
        |info| info.grants.schedule = true,
        expect!["+ grants.schedule: false -> true"],
        expect!["  grants.schedule: true -> false"],
    );
    let folder = |path: &str| vec![FolderGrant { path: path.into(), guest: "/in".to_owned() }];
    check(
        |info| info.grants.folders = folder("/srv"),
        |info| info.grants.folders = folder("/srv/public"),
        expect!["  grants.folders: /srv as /in -> /srv/public as /in"],
        expect!["+ grants.folders: /srv/public as /in -> /srv as /in"],
    );
    // A name that only begins alike is another folder.
    check(
        |info| info.grants.folders = folder("/srv/public"),
        |info| info.grants.folders = folder("/srv/public2"),
        expect!["+ grants.folders: /srv/public as /in -> /srv/public2 as /in"],
        expect!["+ grants.folders: /srv/public2 as /in -> /srv/public as /in"],
    );
}

fn https(grant: &str) -> Vec<HttpGrant> {
    vec![serde_json::from_str(grant).unwrap()]
}

fn secrets(grant: &str) -> Vec<SecretGrant> {
    vec![serde_json::from_str(grant).unwrap()]
}

#[test]
fn each_part_of_what_is_reached_of_the_network_grows() {
    let narrow = |info: &mut PluginInfo| info.grants.http = https(r#"{"host": "a.test", "methods": ["GET"], "path_prefix": "/v1"}"#);
    check(
        as_it_is,
        narrow,
        expect!["+ grants.http: none -> GET https://a.test/v1"],
        expect!["  grants.http: GET https://a.test/v1 -> none"],
    );
    check(
        narrow,
        |info| info.grants.http = https(r#"{"host": "*.test", "methods": ["GET"], "path_prefix": "/v1"}"#),
        expect!["+ grants.http: GET https://a.test/v1 -> GET https://*.test/v1"],
        expect!["  grants.http: GET https://*.test/v1 -> GET https://a.test/v1"],
    );
    check(
        narrow,
        |info| info.grants.http = https(r#"{"host": "a.test", "methods": ["GET", "POST"], "path_prefix": "/v1"}"#),
        expect!["+ grants.http: GET https://a.test/v1 -> GET|POST https://a.test/v1"],
        expect!["  grants.http: GET|POST https://a.test/v1 -> GET https://a.test/v1"],
    );
    check(
        narrow,
        |info| info.grants.http = https(r#"{"host": "a.test", "methods": ["GET"]}"#),
        expect!["+ grants.http: GET https://a.test/v1 -> GET https://a.test"],
        expect!["  grants.http: GET https://a.test -> GET https://a.test/v1"],
    );
    check(
        narrow,
        |info| info.grants.http = https(r#"{"host": "a.test", "methods": ["GET"], "path_prefix": "/v1", "private": true}"#),
        expect!["+ grants.http: GET https://a.test/v1 -> GET https://a.test/v1 (private)"],
        expect!["  grants.http: GET https://a.test/v1 (private) -> GET https://a.test/v1"],
    );
    // Another port, and http instead of https, is another place.
    for (other, text) in [(r#""port": 8443"#, "https://a.test:8443"), (r#""plain": true"#, "http://a.test")] {
        let (mut before, mut after) = (plugin(), plugin());
        narrow(&mut before);
        after.grants.http = https(&format!(r#"{{"host": "a.test", "methods": ["GET"], "path_prefix": "/v1", {other}}}"#));
        for (old, new) in [(&before, &after), (&after, &before)] {
            let diff = CapabilityDiff::between(old, new);
            assert!(diff.grows() && diff.0[0].to_string().contains(text), "{diff:?}");
        }
    }
}

#[test]
fn a_secret_a_host_of_it_and_another_place_grow() {
    let one = |info: &mut PluginInfo| info.grants.secrets = secrets(r#"{"name": "key", "env": "KEY", "hosts": ["a.test"]}"#);
    check(as_it_is, one, expect!["+ grants.secrets: none -> key for a.test"], expect!["  grants.secrets: key for a.test -> none"]);
    check(
        one,
        |info| info.grants.secrets = secrets(r#"{"name": "key", "env": "KEY", "hosts": ["a.test", "b.test"]}"#),
        expect!["+ grants.secrets: key for a.test -> key for a.test and b.test"],
        expect!["  grants.secrets: key for a.test and b.test -> key for a.test"],
    );
    check(
        one,
        |info| info.grants.secrets = secrets(r#"{"name": "key", "env": "ANOTHER", "hosts": ["a.test"]}"#),
        expect!["+ grants.secrets: key for a.test -> key for a.test (key from another place)"],
        expect!["+ grants.secrets: key for a.test -> key for a.test (key from another place)"],
    );
}

#[test]
fn larger_limits_and_a_breaker_that_forgives_grow() {
    check(
        as_it_is,
        |info| info.limits.memory_bytes *= 2,
        expect!["+ limits.memory_bytes: 67108864 -> 134217728"],
        expect!["  limits.memory_bytes: 134217728 -> 67108864"],
    );
    check(as_it_is, |info| info.breaker.faults = 9, expect!["+ breaker.faults: 5 -> 9"], expect!["  breaker.faults: 9 -> 5"]);
    check(
        as_it_is,
        |info| info.breaker.window_ms = 1_000,
        expect!["+ breaker.window_ms: 60000 -> 1000"],
        expect!["  breaker.window_ms: 1000 -> 60000"],
    );
    check(
        as_it_is,
        |info| info.breaker.backoff_ms = 1,
        expect!["+ breaker.backoff_ms: 1000 -> 1"],
        expect!["  breaker.backoff_ms: 1 -> 1000"],
    );
}

#[test]
fn every_limit_is_compared() {
    let mut larger = plugin();
    let limits = &mut larger.limits;
    let Limits {
        timeout_ms,
        fuel,
        memory_bytes,
        table_elements,
        instances,
        stack_bytes,
        argument_bytes,
        result_bytes,
        log_bytes,
        publishes,
        query_events,
        schedules,
        kv_bytes,
        observe_events,
        http_requests,
        http_concurrent,
        http_request_bytes,
        http_response_bytes,
        http_connect_ms,
        http_timeout_ms,
    } = limits;
    for number in [timeout_ms, fuel, memory_bytes, table_elements, stack_bytes, argument_bytes, result_bytes, log_bytes, kv_bytes] {
        *number += 1;
    }
    for number in [http_request_bytes, http_response_bytes, http_connect_ms, http_timeout_ms] {
        *number += 1;
    }
    for number in [instances, publishes, query_events, schedules, observe_events, http_requests, http_concurrent] {
        *number += 1;
    }
    let diff = CapabilityDiff::between(&plugin(), &larger);
    assert_eq!((diff.0.len(), diff.0.iter().filter(|change| change.grows).count()), (20, 20), "{diff:?}");
}

#[test]
fn patterns_cover_what_they_name_in_every_case() {
    let covers = |wide: &str, pattern: &str| covered(&Pattern::parse(pattern).unwrap(), &[Pattern::parse(wide).unwrap()]);
    for (wide, pattern, expected) in [
        ("**", "a:**", true),
        ("a:**", "a:*", true),
        ("a:**", "a:b:c", true),
        ("a:*", "a:**", false),
        ("a:*", "a:b:c", false),
        ("a:*", "a:*", true),
        ("*:b", "a:b", true),
        ("*:b", "a:*", false),
        ("a:**", "ab:c", false),
        ("*:*:c", "a:**", false),
        ("a:b", "**", false),
    ] {
        assert_eq!(covers(wide, pattern), expected, "{wide} over {pattern}");
    }
}
