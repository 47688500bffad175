//! What a settings file may say, as data: keys, values, and the words for what is wrong.
//! Leaves what the settings lead to to the tests of whole plugins.

use expect_test::{Expect, expect};
use trackside_model::plugin::Roles;

use super::*;

fn check(text: &str, expected: Expect) {
    let actual = match Settings::parse(text) {
        Ok(settings) => {
            let limits = settings.limits(Limits::for_roles(Roles { control: true, ..Roles::default() }));
            let grants = settings.grants(false);
            format!(
                "{:?} {:?} {:?} timeout {} kv {} {} publish {:?} {}",
                settings.enabled,
                settings.priority,
                settings.on_fault,
                limits.timeout_ms,
                grants.kv,
                limits.kv_bytes,
                grants.publish.map(|patterns| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>()),
                settings.values().all,
            )
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&actual);
}

#[test]
fn nothing_said_is_the_defaults() {
    check("", expect!["None None None timeout 100 kv true 1048576 publish None {}"]);
}

#[test]
fn what_is_said_counts() {
    check(
        "enabled = false\npriority = 10\non_fault = 'fail'\n[limits]\ntimeout_ms = 50\n[grants]\nkv = true\npublish = ['order:*', 'task:failed']\n[settings]\na = [1, 'x']\nb.c = 2026-01-31\n",
        expect![[
            r#"Some(false) Some(10) Some(Fail) timeout 50 kv true 16777216 publish Some(["order:*", "task:failed"]) {"a":[1,"x"],"b":{"c":"2026-01-31"}}"#
        ]],
    );
    check("[grants]\nkv = false\npublish = true", expect![[r#"None None None timeout 100 kv false 1048576 publish Some(["**"]) {}"#]]);
}

#[test]
fn wrong_keys_are_named_with_line_and_nearest() {
    check("priority = 1\npriorty = 2\n", expect!["line 2: unknown key 'priorty'; did you mean 'priority'?"]);
    check("[limits]\n\ntimeout = 5", expect!["line 3: unknown key 'timeout' in [limits]; did you mean 'timeout_ms'?"]);
    check("kv_bytes = 5", expect!["line 1: unknown key 'kv_bytes'; it belongs in [limits]"]);
    check(
        "[grants]\nzzz = 1",
        expect![
            "line 2: unknown key 'zzz' in [grants]; known are publish, query, kv, schedule, clock, random, timers, progress, folders, http, secrets"
        ],
    );
    check(
        "[[grants.folders]]\npath = '.'\nguset = '/x'",
        expect!["line 3: unknown key 'guset' in [grants.folders]; did you mean 'guest'?"],
    );
    check("[observes]\nevent_type = ['a:b']", expect!["line 2: unknown key 'event_type' in [observes]; did you mean 'event_types'?"]);
}

#[test]
fn grants_of_the_network_are_read_and_what_is_wrong_in_them_named() {
    let text = "[[grants.http]]\nhost = 'api.example.com'\nmethods = ['POST']\n[[grants.http]]\nhost = '*.local.test'\nplain = true\nprivate = true\n\
                [[grants.secrets]]\nname = 'key'\nenv = 'KEY'\nhosts = ['api.example.com']\n";
    let grants = Settings::parse(text).unwrap().grants(false);
    let http: Vec<String> = grants.http.iter().map(ToString::to_string).collect();
    assert_eq!(http, ["POST https://api.example.com", "http://*.local.test (private)"]);
    assert_eq!(grants.secrets[0].to_string(), "key for api.example.com");
    check(
        "[[grants.http]]\nhost = 'a.test'\npath = '/v1'",
        expect!["line 3: unknown key 'path' in [grants.http]; did you mean 'path_prefix'?"],
    );
    check(
        "[grants]\nkv = true\n\n[[grants.http]]\nhost = 'https://a.test'",
        expect![
            "line 5: host = 'https://a.test' is more than a host: give the name alone, such as api.example.com; `path_prefix` narrows the path, and `plain = true` is for http"
        ],
    );
    check(
        "[[grants.secrets]]\nname = 'key'\nvalue = 'no'",
        expect!["line 3: unknown key 'value' in [grants.secrets]; known are name, file, env, hosts"],
    );
    check(
        "[[grants.secrets]]\nname = 'key'\nfile = 'key.txt'",
        expect!["line 1: secrets: file = 'key.txt' of 'key': give an absolute path"],
    );
    let twice = "[[grants.secrets]]\nname = 'key'\nenv = 'A'\n[[grants.secrets]]\nname = 'key'\nenv = 'B'";
    check(twice, expect!["line 1: secrets: 'key' stands twice"]);
    check("[limits]\nhttp_timeout_ms = 90_000_000", expect!["line 2: http_timeout_ms: at most 86400000, a day"]);
}

#[test]
fn wrong_values_are_named_with_their_line() {
    check("\npriority = 'high'", expect![[r#"line 2: invalid type: string "high", expected i32"#]]);
    check("on_fault = 'ignore'", expect!["line 1: unknown variant `ignore`, expected `proceed` or `fail`"]);
    check("[limits]\nfuel = 0", expect!["line 2: fuel: 0 would let no call succeed; give at least 1, or set enabled = false"]);
    check("[limits]\nfuel = -1", expect!["line 2: invalid value: integer `-1`, expected u64"]);
    check("[limits]\nstack_bytes = 9", expect!["line 2: stack_bytes: all plugins have the same size, 524288; remove the line"]);
    check("workers = 5000", expect!["line 1: workers: at most 1024"]);
    check("[grants]\npublish = 3", expect![[r#"line 2: expected true, false or a list of type patterns, as in publish = ["order:*"]"#]]);
    check(
        "[grants]\npublish = ['order']",
        expect![[
            r#"line 2: type pattern 'order' is malformed: event type 'order' is one word; write 'component:action', for example 'order:happened'"#
        ]],
    );
    check(
        "[[grants.folders]]\npath = '.'\nguest = 'x'",
        expect!["line 1: folders: guest = 'x' is where the plugin sees the folder: give an absolute path such as '/input'"],
    );
    check(
        "[grants]\nfolders = [{path = '/nowhere/at/all', guest = '/x'}]",
        expect!["line 2: folders: /nowhere/at/all is not a folder of this machine"],
    );
    check(
        "[controls]\nevent_types = ['order:*']\nwhen = 'payload.amount > 100'",
        expect!["line 3: there is no 'payload'; a condition is about `event`, as in event.payload or event.event_type"],
    );
    check("a = \n", expect!["line 1: string values must be quoted, expected literal string"]);
}
