// SPDX-License-Identifier: GPL-2.0-only

//! When an engine is started again.

use super::super::health::Health;
use super::*;

/// When an engine is started that never runs, looked at each second.
fn starts(health: &mut Health, from_s: u64, to_s: u64) -> Vec<u64> {
    (from_s..to_s)
        .filter(|s| health.may_start(s * 1000))
        .collect()
}

#[test]
fn an_engine_that_fails_is_left_alone_for_longer_and_longer() {
    let mut health = Health::default();
    let all = starts(&mut health, 100, 400);
    assert_eq!(all, [100, 101, 103, 107, 115, 131, 163, 223, 283, 343]);
}

/// Looks that find the engine running, one each second.
fn runs(health: &mut Health, from_s: u64, to_s: u64) {
    for s in from_s..to_s {
        health.runs(s * 1000);
    }
    health.stopped();
}

#[test]
fn only_steady_health_makes_up_for_it() {
    let mut health = Health::default();
    assert_eq!(starts(&mut health, 100, 110), [100, 101, 103, 107]);
    // The next start is due at 115, and the one after that 16 s later. Running for less than
    // 10 s changes nothing, however late it was, and however long the engine was silent after it.
    assert!(health.may_start(115_000));
    runs(&mut health, 116, 126);
    assert!(!health.may_start(130_000));
    assert!(health.may_start(131_000));
    // Ten seconds, though the time to wait was longer: at once, and a second later.
    runs(&mut health, 132, 143);
    assert_eq!(starts(&mut health, 143, 150), [143, 144, 146]);
}

#[test]
fn ten_seconds_with_a_break_are_not_steady() {
    let mut health = Health::default();
    assert_eq!(starts(&mut health, 100, 104), [100, 101, 103]);
    runs(&mut health, 104, 110);
    runs(&mut health, 110, 116);
    assert!(health.may_start(116_000));
    assert!(!health.may_start(123_000));
}
