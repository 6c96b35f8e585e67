// SPDX-License-Identifier: GPL-2.0-only

//! What the engine asks its glue to do.

use super::{
    super::super::{
        engine::{
            filters::FilterRule,
            Wakes, //
        },
        l2::filter::FilterParser,
        netdev::Event,
        reject::Reject, //
    },
    event,
    filters::{
        bridged,
        tunnel, //
    },
    Bench,
    TestNet,
    COUNTING,
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
        b.engine.unbind(&binding, &COUNTING);
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
        b.engine.unbind(&binding, &COUNTING);
    }
    b.engine.take_wakes();
    let ingress = b.engine.bind_ingress(LAN.0.into(), NET).unwrap();
    assert_eq!(b.engine.take_wakes(), NONE);
    let mut offer = |cookie, feed: fn(&mut FilterParser)| {
        let rule = FilterRule {
            cookie,
            prio: 1,
            chain: 0,
            demands_counters: false,
        };
        let engine = &mut b.engine;
        let taken = engine.replace_filter(&ingress, &rule, feed, &|_, _| None);
        (taken, engine.take_wakes())
    };
    // The glue looked at frames for it already.
    assert_eq!(offer(1, tunnel), (Err(Reject::Tunnel), FILTERS));
    let both = Wakes {
        scan: true,
        filters: true,
    };
    assert_eq!(offer(1, bridged), (Ok(()), both));
    assert_eq!(offer(2, bridged), (Ok(()), both));
    assert_eq!(b.engine.destroy(&ingress, &COUNTING, 3), None);
    assert_eq!(b.engine.take_wakes(), NONE);
    assert_eq!(b.engine.destroy(&ingress, &COUNTING, 1), Some(()));
    assert_eq!(b.engine.take_wakes(), FILTERS);
    b.engine.unbind(&ingress, &COUNTING);
    assert_eq!(b.engine.take_wakes(), FILTERS);
}
