// SPDX-License-Identifier: GPL-2.0-only

//! What the engine asks its glue to do.

use super::{
    super::super::{
        engine::{
            filters::FilterRule,
            Wakes, //
        },
        flow::Encap,
        l2::{
            filter::Filter,
            Key, //
        },
        netdev::Event,
        reject::Reject,
        reject_log::RejectedRule, //
    },
    event,
    Bench,
    TestNet,
    FT,
    LAN,
    NET,
    WAN, //
};

const NONE: Wakes = Wakes {
    scan: false,
    filters: false,
};
const SCAN: Wakes = Wakes {
    scan: true,
    filters: false,
};
const FILTERS: Wakes = Wakes {
    scan: false,
    filters: true,
};

#[test]
fn a_scan_is_due_while_there_is_something_to_offload() {
    let mut b = Bench::new();
    assert_eq!(b.engine.take_wakes(), SCAN);
    assert_eq!(b.engine.take_wakes(), NONE);
    let up = event(Event::Change, LAN, true);
    b.engine.on_device_event(&TestNet, &up);
    assert_eq!(b.engine.take_wakes(), SCAN);
    for binding in [b.lan, b.wan] {
        b.engine.unbind(&binding, &TestNet);
    }
    b.engine.on_device_event(&TestNet, &up);
    assert_eq!(b.engine.take_wakes(), NONE);
    b.engine.bind(WAN.0.into(), NET, FT, true).unwrap();
    assert_eq!(b.engine.take_wakes(), SCAN);
}

#[test]
fn each_change_of_the_filters_is_told() {
    let mut b = Bench::new();
    for binding in [b.lan, b.wan] {
        b.engine.unbind(&binding, &TestNet);
    }
    b.engine.take_wakes();
    let ingress = b.engine.bind_ingress(LAN.0.into(), NET).unwrap();
    assert_eq!(b.engine.take_wakes(), NONE);
    let filter = Filter {
        key: Key {
            ingress: LAN,
            smac: [2, 0, 0, 0, 0, 1],
            dmac: [2, 0, 0, 0, 0, 2],
            vlan: None,
        },
        v6: None,
        l4: None,
        egress: WAN.into(),
        out_encap: Encap::NONE,
    };
    let mut offer = |cookie, parsed| {
        let rule = FilterRule {
            cookie,
            prio: 1,
            chain: 0,
            demands_counters: false,
        };
        let describe = |reject| RejectedRule {
            reject,
            ip_proto: 0,
            tuple: None,
            ingress: None,
            egress: None,
        };
        let engine = &mut b.engine;
        let taken = engine.replace_filter(&ingress, &rule, |_| parsed, describe);
        (taken, engine.take_wakes())
    };
    // The glue looked at frames for it already.
    assert_eq!(offer(1, Err(Reject::Mask)), (Err(Reject::Mask), FILTERS));
    let both = Wakes {
        scan: true,
        filters: true,
    };
    assert_eq!(offer(1, Ok(filter)), (Ok(()), both));
    assert_eq!(offer(2, Ok(filter)), (Ok(()), both));
    assert_eq!(b.engine.destroy(&ingress, &TestNet, 3), None);
    assert_eq!(b.engine.take_wakes(), NONE);
    assert_eq!(b.engine.destroy(&ingress, &TestNet, 1), Some(()));
    assert_eq!(b.engine.take_wakes(), FILTERS);
    b.engine.unbind(&ingress, &TestNet);
    assert_eq!(b.engine.take_wakes(), FILTERS);
}
