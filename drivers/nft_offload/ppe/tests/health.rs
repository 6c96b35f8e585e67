// SPDX-License-Identifier: GPL-2.0-only

//! When an engine is started again.

use std::vec::Vec;

use super::super::health::Health;

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

#[test]
fn only_steady_health_makes_up_for_it() {
    let mut health = Health::default();
    assert_eq!(starts(&mut health, 100, 110), [100, 101, 103, 107]);
    // The next one is due at 115, and the one after that 16 s later.
    assert!(health.may_start(120_000));
    assert!(!health.may_start(135_000));
    // It ran from then on.
    assert!(health.may_start(146_000));
    assert!(health.may_start(147_000));
    assert!(!health.may_start(148_000));
}
