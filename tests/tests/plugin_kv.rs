//! What a plugin keeps, as an operator looks into it: of a running host with its token, and of a data directory without one.
//! What a space may hold, and how plugins see it, is tested beside the code.

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, json};

/// A host with a plugin that has done these operations.
fn kept(operations: &str) -> (Site, Host) {
    let site = Site::new();
    site.plugin("kv-user", guests::build().bytes("kv-user"), "[grants]\nkv = true\n");
    let host = site.start();
    let view = host.finish(&format!("name: keep\ntasks:\n  - {{id: k, method: kv-user/run, parameters: {{operations: {operations}}}}}\n"));
    assert_eq!(view["status"], "completed", "{view}");
    (site, host)
}

#[test]
fn a_space_is_shown_to_holders_of_the_token_alone() {
    let (site, host) = kept(r#"[{set: ["count/a", "3"]}, {set: ["count/b", "two\nlines"]}, {set_for_ms: ["soon", "gone", 3600000]}]"#);
    let problem = host.get("/v1/plugins/kv-user/kv").expect(401);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("the scope 'plugins'")), "{problem}");
    let token = format!("Bearer {}", host.token());
    let ask = |path: &str| host.send("GET", path, &[("authorization", &token)], "");
    let page = ask("/v1/plugins/kv-user/kv?prefix=count/&limit=1").expect(200);
    assert_eq!(page, json!({"name": "kv-user", "entries": [{"key": "count/a", "text": "3", "bytes": 1}], "next": "count/a"}));
    let page = ask("/v1/plugins/kv-user/kv?prefix=count/&limit=1&after=count/a").expect(200);
    assert_eq!((&page["entries"][0]["text"], &page["next"]), (&json!("two\nlines"), &json!(null)));
    assert!(
        ask("/v1/plugins/kv-user/kv?prefx=x").expect(400)["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("did you mean 'prefix'?"))
    );
    ask("/v1/plugins/KV/kv").expect(422);

    let token = site.data().join("token").to_string_lossy().into_owned();
    let said = host.cli(&["plugin", "kv", "kv-user", "--token-file", &token]).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[1], lines[2]), (4, "count/a  3           1", "count/b  two\\nlines  9"), "{said}");
    assert!(lines[0].ends_with("goes in") && lines[3].ends_with(" s") && lines[3].contains(" min "), "{said}");
    assert_eq!(host.cli(&["plugin", "kv", "kv-user", "none/", "--token-file", &token]).ok(), "kv-user keeps nothing under 'none/'\n");
    let ran = host.cli(&["plugin", "kv", "kv-user", "--token-file", "nowhere"]);
    assert_eq!((ran.code, ran.stderr.contains("--token-file FILE")), (1, true), "{ran}");

    assert_eq!(host.stop(), 0);
    let entries = site.read(["plugin", "kv", "kv-user", "--json"]).json_lines();
    let keys: Vec<_> = entries.iter().filter_map(|entry| entry["key"].as_str()).collect();
    assert_eq!(keys, ["count/a", "count/b", "soon"]);
    assert!(entries[2]["ttl_ms"].as_u64().is_some_and(|ttl_ms| ttl_ms <= 3_600_000) && entries[2]["expires_at"].is_string(), "{entries:?}");
    assert_eq!(site.read(["plugin", "kv", "nobody"]).ok(), "nobody keeps nothing\n");
}

#[test]
fn a_long_list_comes_whole() {
    let sets: Vec<String> = (0..1_200).map(|n| format!(r#"{{set: ["k{n:04}", "v"]}}"#)).collect();
    let (site, host) = kept(&format!("[{}]", sets.join(", ")));
    let token = site.data().join("token").to_string_lossy().into_owned();
    let all = host.cli(&["plugin", "kv", "kv-user", "--json", "--token-file", &token]).json_lines();
    assert_eq!((all.len(), &all[0]["key"], &all[1_199]["key"]), (1_200, &json!("k0000"), &json!("k1199")));
    let some = host.cli(&["plugin", "kv", "kv-user", "k1", "--limit", "7", "--json", "--token-file", &token]).json_lines();
    assert_eq!((some.len(), &some[6]["key"]), (7, &json!("k1006")));
}
