// SPDX-License-Identifier: GPL-2.0-only

//! Rules of tc, and their subflows.

use super::super::super::l2::{
    filter::{
        Filter,
        FilterParser, //
    },
    Key,
    Sighting, //
};
use super::*;

/// Bridged frames from LAN to WAN.
const BRIDGED: Filter = Filter {
    key: Key {
        ingress: LAN,
        smac: [2; 6],
        dmac: [4; 6],
        vlan: None,
    },
    v6: None,
    l4: None,
    egress: Endpoint {
        port: WAN,
        dsa: None,
    },
    out_encap: Encap::NONE,
};

const RULE: FilterRule = FilterRule {
    cookie: 1,
    prio: 5,
    chain: 0,
    demands_counters: false,
};

/// The keys and actions of [`BRIDGED`].
pub(super) fn bridged(parser: &mut FilterParser) {
    parser.on_match(control(AddrType::None, 0));
    parser.on_match(basic(0, 0, 0, 0));
    parser.on_match(eth_addrs([[2; 6], [4; 6]], [[0xff; 6]; 2]));
    parser.on_action(redirect(Some(WAN.into())));
}

/// A key that nothing can match.
pub(super) fn tunnel(parser: &mut FilterParser) {
    parser.on_match(Match::Tunnel);
}

impl Bench {
    fn ingress(&mut self) -> Binding {
        self.engine.bind_ingress(LAN.0.into(), NET).unwrap()
    }

    fn filter(
        &mut self,
        by: &Binding,
        rule: &FilterRule,
        feed: fn(&mut FilterParser),
    ) -> Result<(), Reject> {
        self.engine.replace_filter(by, rule, feed, &|_, _| None)
    }

    /// Enough frames of connection `n` were seen. Returns its flow.
    fn seen(&mut self, n: u16) -> Flow {
        let (key, l4, tuple) = (BRIDGED.key, L4::Udp, v4(1, n, 2, 53));
        self.engine.bind_seen(&Sighting { key, l4, tuple });
        BRIDGED.flow(l4, &tuple)
    }

    fn counts<const N: usize>(&self, names: [&str; N]) -> [u64; N] {
        names.map(|name| self.stat(name))
    }
}

#[test]
fn rules_of_tc_are_refused_with_a_reason() {
    let mut b = Bench::new();
    let ingress = b.ingress();
    let chained = FilterRule { chain: 1, ..RULE };
    assert_eq!(b.filter(&ingress, &chained, tunnel), Err(Reject::Chain));
    assert_eq!(b.filter(&ingress, &RULE, tunnel), Err(Reject::Tunnel));
    let counts = b.counts(["offered", "rejected", "rules_now"]);
    assert_eq!(counts, [2, 2, 0]);
    assert_eq!(b.engine.destroy(&ingress, &COUNTING, 1), None);
    assert!(!b.engine.age_subflows());
    b.engine.table.hw.dead = true;
    assert_eq!(b.filter(&ingress, &RULE, tunnel), Err(Reject::EngineDead));
}

#[test]
fn rules_of_tc_bring_subflows_that_are_counted() {
    let mut b = Bench::new();
    let ingress = b.ingress();
    b.engine.unbind(&b.lan, &COUNTING);
    b.engine.unbind(&b.wan, &COUNTING);
    let mut before = Obstacles::NONE;
    assert!(!b.engine.has_work() && b.engine.begin_scan(&mut before).is_none());
    let demands_counters = true;
    let counted = FilterRule {
        demands_counters,
        ..RULE
    };
    assert_eq!(b.filter(&ingress, &counted, bridged), Ok(()));
    assert!(b.engine.has_work());
    let flow = b.seen(1);
    let names = ["subflows_now", "packets"];
    assert!(b.frame(&flow) && b.frame(&flow));
    let stats = b.engine.stats(&ingress, &COUNTING, 1).unwrap().unwrap();
    assert_eq!((stats.delta.packets, b.counts(names)), (2, [1, 2]));
    // Looked at, not more often than so.
    assert!(b.engine.age_subflows() && b.frame(&flow));
    b.engine.table.host.wait(AGE_EVERY_MS - 1);
    assert!(b.engine.age_subflows());
    assert_eq!(b.counts(names), [1, 2]);
    b.engine.table.host.wait(1);
    assert!(b.engine.age_subflows());
    assert_eq!(b.counts(names), [1, 3]);
    // Another rule takes over, is removed, and the last one goes with its device.
    let (cookie, prio) = (2, 4);
    let before = FilterRule {
        cookie,
        prio,
        ..RULE
    };
    assert!(b.frame(&flow));
    assert_eq!(b.filter(&ingress, &before, bridged), Ok(()));
    assert_eq!(b.counts(names), [0, 4]);
    b.seen(1);
    assert!(b.frame(&flow));
    assert_eq!(b.engine.destroy(&ingress, &COUNTING, 2), Some(()));
    assert_eq!(b.counts(names), [0, 5]);
    b.seen(1);
    assert!(b.frame(&flow));
    b.engine.unbind(&ingress, &COUNTING);
    assert_eq!(b.counts(names), [0, 6]);
    assert!(!b.engine.has_work());
}

#[test]
fn subflows_are_flushed_alone() {
    let mut b = Bench::new();
    let ingress = b.ingress();
    let routed = b.bound(1);
    b.filter(&ingress, &RULE, bridged).unwrap();
    let bridged = b.seen(1);
    assert!(b.frame(&bridged));
    assert_eq!(b.engine.flush_subflows(&|_| true), 1);
    assert!(!b.frame(&bridged) && b.frame(&routed));
    assert_eq!(b.stat("subflows_now"), 0);
    // What had a flow meanwhile is said of the rule.
    let stats = b.engine.stats(&ingress, &COUNTING, 1).unwrap().unwrap();
    assert_eq!(stats.delta.packets, 1);
}

#[test]
fn a_connection_that_was_seen_may_be_refused() {
    let mut b = Bench::new();
    let ingress = b.ingress();
    b.filter(&ingress, &RULE, bridged).unwrap();
    b.engine.pause("1").unwrap();
    let flow = b.seen(1);
    assert!(!b.frame(&flow));
    let rejected = b.engine.table.host.rejected.borrow().clone();
    let [(None, rule)] = rejected[..] else {
        panic!("{rejected:?}");
    };
    assert_eq!(
        (rule.reject, rule.tuple),
        (Reject::Paused, Some(flow.tuple))
    );
    let reasons = b.lines(
        |engine, from| engine.next_reject(from),
        |engine, at, f| engine.show_reject(at, f),
    );
    assert!(reasons.iter().any(|line| line.starts_with("paused 1 ")));
}
