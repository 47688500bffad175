//! The breaker as tables: what is asked and told at which millisecond, and what it answers.
//! The policy counts 3 faults in 1,000 ms and backs off for 100 ms.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const POLICY: BreakerPolicy = BreakerPolicy { faults: 3, window_ms: 1_000, backoff_ms: 100 };

/// One `MS VERB` a line; verbs are `allow`, `ok`, `fault`, `deadline` and `abandon`.
#[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
fn check(script: &str, expected: Expect) {
    let mut breaker = Breaker::new(POLICY);
    let mut table = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (ms, verb) = line.split_once(' ').unwrap();
        let now = Timestamp::default().plus_ms(ms.parse().unwrap());
        let answer = match verb {
            "allow" => match breaker.allow(now) {
                Permission::Refused { retry_after_ms } => format!("refused for {retry_after_ms}"),
                permission => format!("{permission:?}").to_lowercase(),
            },
            "ok" => told(breaker.success(now)),
            "fault" => told(breaker.fault(now, false)),
            "deadline" => told(breaker.fault(now, true)),
            "abandon" => {
                breaker.abandon(now);
                told(None)
            }
            _ => panic!("no verb {verb}"),
        };
        writeln!(table, "{line:<14} {:<9} {answer}", format!("{:?}", breaker.state()).to_lowercase()).unwrap();
    }
    expected.assert_eq(&table);
}

fn told(transition: Option<Transition>) -> String {
    match transition {
        None => "-".to_owned(),
        Some(Transition::Closed) => "closed".to_owned(),
        Some(Transition::Opened { until }) => format!("opened until {}", until.ms_since(Timestamp::default())),
    }
}

#[test]
fn faults_within_the_window_open_it() {
    check(
        "0 allow\n 0 fault\n 10 ok\n 999 fault\n 1000 fault\n 1001 fault\n 1050 allow",
        expect![[r#"
        0 allow        closed    call
        0 fault        closed    -
        10 ok          closed    -
        999 fault      closed    -
        1000 fault     closed    -
        1001 fault     open      opened until 1101
        1050 allow     open      refused for 51
    "#]],
    );
}

#[test]
fn two_deadlines_in_a_row_are_enough() {
    check(
        "0 deadline\n 1 ok\n 2 deadline\n 3 deadline",
        expect![[r#"
        0 deadline     closed    -
        1 ok           closed    -
        2 deadline     closed    -
        3 deadline     open      opened until 103
    "#]],
    );
    check(
        "0 deadline\n 1 fault\n 1500 deadline\n 1501 deadline",
        expect![[r#"
        0 deadline     closed    -
        1 fault        closed    -
        1500 deadline  closed    -
        1501 deadline  open      opened until 1601
    "#]],
    );
}

#[test]
fn half_open_lets_one_probe_through() {
    check(
        "0 deadline\n 0 deadline\n 99 allow\n 100 allow\n 100 allow\n 120 ok\n 121 allow",
        expect![[r#"
        0 deadline     closed    -
        0 deadline     open      opened until 100
        99 allow       open      refused for 1
        100 allow      halfopen  probe
        100 allow      halfopen  refused for 100
        120 ok         closed    closed
        121 allow      closed    call
    "#]],
    );
}

#[test]
fn a_failed_probe_doubles_the_backoff_and_success_forgets_it() {
    check(
        "0 deadline\n 0 deadline\n 100 allow\n 100 fault\n 300 allow\n 300 fault\n 700 allow\n 700 ok\n 701 deadline\n 702 deadline",
        expect![[r#"
            0 deadline     closed    -
            0 deadline     open      opened until 100
            100 allow      halfopen  probe
            100 fault      open      opened until 300
            300 allow      halfopen  probe
            300 fault      open      opened until 700
            700 allow      halfopen  probe
            700 ok         closed    closed
            701 deadline   closed    -
            702 deadline   open      opened until 802
        "#]],
    );
}

#[test]
fn an_abandoned_probe_leaves_the_place_to_the_next() {
    check(
        "0 deadline\n 0 deadline\n 100 allow\n 150 abandon\n 150 allow\n 160 ok\n 161 abandon",
        expect![[r#"
        0 deadline     closed    -
        0 deadline     open      opened until 100
        100 allow      halfopen  probe
        150 abandon    open      -
        150 allow      halfopen  probe
        160 ok         closed    closed
        161 abandon    closed    -
    "#]],
    );
}

#[test]
fn answers_of_earlier_calls_do_not_close_an_open_breaker() {
    check(
        "0 deadline\n 0 deadline\n 50 ok\n 60 fault\n 99 allow",
        expect![[r#"
        0 deadline     closed    -
        0 deadline     open      opened until 100
        50 ok          open      -
        60 fault       open      -
        99 allow       open      refused for 1
    "#]],
    );
}

#[test]
fn backoff_stops_growing_at_a_hundred_times() {
    let mut breaker = Breaker::new(POLICY);
    let mut now = Timestamp::default();
    let mut waits = Vec::new();
    let _ = breaker.fault(now, true);
    let mut transition = breaker.fault(now, true);
    for _ in 0..10 {
        let Some(Transition::Opened { until }) = transition else { panic!("opened") };
        waits.push(until.ms_since(now));
        now = until;
        assert_eq!(breaker.allow(now), Permission::Probe);
        transition = breaker.fault(now, false);
    }
    expect!["[100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000]"].assert_eq(&format!("{waits:?}"));
}

proptest! {
    /// Whatever is told, in whatever order: at most one probe is out, the opening times keep to the bounds of the policy,
    /// and a closed breaker never remembers more faults than the policy counts.
    #[test]
    fn the_machine_keeps_its_bounds(steps in proptest::collection::vec((0u64..300, 0u8..5), 0..200)) {
        let mut breaker = Breaker::new(POLICY);
        let mut now = Timestamp::default();
        let mut probes = 0;
        for (wait_ms, verb) in steps {
            now = now.plus_ms(wait_ms);
            match verb {
                0 => match breaker.allow(now) {
                    Permission::Probe => { probes += 1; prop_assert_eq!(probes, 1); }
                    Permission::Call => prop_assert_eq!(breaker.state(), BreakerState::Closed),
                    Permission::Refused { retry_after_ms } => prop_assert!(retry_after_ms >= 1),
                },
                1 => if breaker.success(now).is_some() { probes = 0 },
                2 | 3 => if let Some(Transition::Opened { until }) = breaker.fault(now, verb == 3) {
                    let wait = until.ms_since(now);
                    prop_assert!((POLICY.backoff_ms..=POLICY.backoff_ms * MAX_BACKOFF_GROWTH).contains(&wait));
                    probes = 0;
                },
                _ => { breaker.abandon(now); probes = 0 },
            }
            if let State::Closed { faults, .. } = &breaker.state {
                prop_assert!(faults.len() < POLICY.faults as usize);
            }
        }
    }
}
