//! What never comes into service: no components, components of other worlds, plugins that do not get through their own description.

use trackside_test_guests as guests;
use trackside_tests::eventually;

use crate::stage::Stage;

#[test]
fn what_is_no_plugin_is_refused_by_name_at_the_start_and_at_a_reload() {
    let mut stage = Stage::new();
    let refused = [
        ("unknown-import", "imports `acme:oracle/tomorrow@1.0.0`, which this host does not offer"),
        ("core-module", "is a core module, not a component"),
        ("plain-text", "is not a WebAssembly component"),
        ("empty", "is not a WebAssembly component"),
        ("truncated", "is not a valid component"),
        ("random", "is not a valid component"),
        ("other-world", "exports neither observer nor control nor worker"),
        ("many-exports", "exports neither observer nor control nor worker"),
        ("endless-list", "describe ended in a fault: malformed"),
        ("spin-start", "2000 ms were allowed"),
        ("spin-describe", "2000 ms were allowed"),
    ];
    for (guest, says) in refused {
        stage.site.plugin(guest, guests::build().bytes(guest), "");
        let problem = stage.host.reload(guest).expect(422);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{guest}: {problem}");
        let event = stage.host.wait_for("type=plugin:reload_failed", |event| event["payload"]["plugin"] == guest);
        let reason = event["payload"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(says), "{guest}: '{reason}' does not hold '{says}'");
        stage.publish();
        stage.work();
    }
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.stop(), 0);
    let host = stage.site.start();
    let listed = host.get("/v1/plugins").expect(200);
    assert_eq!(listed["refused"].as_array().map(Vec::len), Some(refused.len()), "{listed}");
    eventually("all to be told", || (host.events("type=plugin:reload_failed").len() == 2 * refused.len()).then_some(()));
    host.plugin("neighbour");
}

#[test]
fn a_component_of_a_hundred_megabytes_is_refused_unread() {
    let mut stage = Stage::new();
    let path = stage.site.plugins().join("heavy.wasm");
    std::fs::File::create(&path).and_then(|file| file.set_len(100_000_000)).expect("a sparse file");
    let problem = stage.host.reload("heavy").expect(422);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("larger than")), "{problem}");
    stage.publish();
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn a_flipped_bit_never_harms_the_host() {
    let mut stage = Stage::new();
    let whole = guests::build().bytes("minimal");
    let mut loaded = 0;
    for round in 0..40_usize {
        let mut flipped = whole.clone();
        // Spread over the file, another bit each time.
        flipped[(round * 7_919) % whole.len()] ^= 1 << (round % 8);
        stage.site.plugin("minimal", flipped, "");
        let answer = stage.host.reload("minimal");
        match answer.status {
            200 => loaded += 1,
            _ => drop(answer.expect(422)),
        }
    }
    assert!(loaded < 40, "no flip was noticed");
    stage.publish();
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn two_files_with_one_stem_are_one_plugin_and_one_piece_of_junk() {
    let stage = Stage::new();
    stage.site.file("plugins/neighbour.WASM", guests::build().bytes("spin"));
    assert_eq!(stage.host.stop(), 0);
    let host = stage.site.start();
    assert_eq!(host.plugin("neighbour")["state"], "serving");
    let told = host.wait_for("type=plugin:reload_failed", |event| event["payload"]["plugin"] == "neighbour.WASM");
    assert!(told["payload"]["reason"].as_str().is_some(), "{told}");
}
