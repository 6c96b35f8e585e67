// SPDX-License-Identifier: GPL-2.0-only

//! The policy, and the text that changes it.

use super::*;

const ALL: Policy = Policy {
    refuse: Kinds::NONE.with(Kind::Shaper),
    ipv4: true,
    ipv6: true,
    reserve: 0,
};

#[test]
fn text_changes_it_and_shows_it() {
    let mut policy = ALL;
    for line in [
        "refuse_shaped 0",
        "refuse_xdp 1",
        "refuse_netdev_chains 1",
        "refuse_netdev_chains 0",
        "ipv4 0",
        "reserve  100",
    ] {
        assert_eq!(policy.set(line), Ok(()));
    }
    assert_eq!(
        policy.to_string(),
        "refuse_shaped 0\nrefuse_tc_filters 0\nrefuse_netdev_chains 0\nrefuse_xdp 1\n\
         refuse_multi_vlan 0\nipv4 0\nipv6 1\nreserve 100\n"
    );
    let kinds = Kinds::NONE.with(Kind::Xdp);
    assert_eq!(
        (policy.refuse, policy.obstacles()),
        (kinds, kinds.with(Kind::EgressQosMap))
    );
    assert_eq!(policy.value("reserve"), Some(100));
    assert_eq!(policy.value("other"), None);
    assert_eq!(policy.set_value("ipv4", "1"), Ok(()));
    assert_eq!(policy.value("ipv4"), Some(1));
    let before = policy;
    for line in [
        "",
        "ipv4",
        "ipv4 2",
        "ipv4 x",
        "IPV4 1",
        "reserve -1",
        "other 1",
        "ipv4 1 1",
    ] {
        assert_eq!(policy.set(line), Err(Invalid), "{line}");
        assert_eq!(policy, before, "{line}");
    }
}

#[test]
fn a_family_that_is_off() {
    let [four, six] = [v4(1, 1, 2, 2), v6(1, 1, 2, 2)].map(|tuple| flow(L4::Udp, tuple));
    let policy = Policy { ipv4: false, ..ALL };
    assert_eq!(policy.admit(&four), Err(Reject::FamilyOff));
    assert_eq!(policy.admit(&six), Ok(()));
    let policy = Policy { ipv6: false, ..ALL };
    assert_eq!(policy.admit(&four), Ok(()));
    assert_eq!(policy.admit(&six), Err(Reject::FamilyOff));
}

#[test]
fn the_reserve_stays_free() {
    let policy = Policy {
        reserve: 100,
        ..ALL
    };
    assert_eq!(
        [0, 100, 101, 16384].map(|entries| policy.limit(entries)),
        [0, 0, 1, 16284]
    );
    assert_eq!(ALL.limit(usize::MAX), u32::MAX);
}
