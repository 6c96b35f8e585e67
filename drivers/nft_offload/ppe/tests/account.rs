// SPDX-License-Identifier: GPL-2.0-only

//! What conntrack is told at the end of a flow.

use super::*;

const ZONE: u32 = 7;

fn counted(packets: u64) -> Count {
    Count {
        packets,
        bytes: 100 * packets,
    }
}

fn ours() -> Flow {
    flow(L4::Udp, v4(1, 1, 2, 2))
}

fn removed(id: u64, packets: u64) -> Record {
    let mut record = Record::EMPTY;
    record.connection = ConnectionId { id, zone: ZONE };
    record.flow = ours();
    record.unreported = counted(packets);
    record.hit = packets > 0;
    record
}

#[test]
fn what_nobody_asked_for_goes_to_the_connection() {
    let conntrack = Connections::default();
    conntrack.add(ZONE, &ours(), 8);
    let mut counters = Counters::default();
    let mut end = |net, counter, id, packets| {
        counters.account_residual(&conntrack, net, counter, &removed(id, packets));
        let Counters {
            residual,
            residual_lost,
            forwarded,
            ..
        } = counters;
        assert_eq!(residual.bytes, 100 * residual.packets);
        (forwarded.packets, residual.packets, residual_lost)
    };
    let net = Some(&TestNet);
    assert_eq!(end(net, true, 8, 3), (3, 3, 0));
    // Nothing was left.
    assert_eq!(end(net, true, 8, 0), (3, 3, 0));
    // A flowtable without `counter`: it is known that there were packets, and no more.
    assert_eq!(end(net, false, 8, 5), (8, 3, 0));
    assert_eq!(end(net, false, 10, 1), (9, 3, 0));
    // No connection, another one, and no namespace.
    assert_eq!(end(net, true, 0, 1), (10, 3, 0));
    assert_eq!(end(net, true, 10, 1), (11, 3, 1));
    assert_eq!(end(None, true, 8, 1), (12, 3, 2));
    assert_eq!(end(None, true, 8, 0), (12, 3, 2));
    let known = Tracked {
        id: 8,
        counted: counted(3),
        seen: [true, true].into(),
    };
    assert_eq!(conntrack.get(ZONE, &ours()), known);
}

#[test]
fn the_connection_is_that_of_the_zone() {
    let conntrack = Connections::default();
    conntrack.add(0, &ours(), 8);
    let mut counters = Counters::default();
    let mut end = || {
        counters.account_residual(&conntrack, Some(&TestNet), true, &removed(8, 1));
        counters.residual_lost
    };
    assert_eq!(end(), 1);
    conntrack.add(ZONE, &ours(), 8);
    assert_eq!(end(), 1);
    assert_eq!(conntrack.get(0, &ours()).counted, Count::ZERO);
    assert_eq!(conntrack.get(ZONE, &ours()).seen, [false]);
}

#[test]
fn packets_that_no_counter_counts_are_told() {
    let conntrack = Connections::default();
    conntrack.add(ZONE, &ours(), 8);
    let mut counters = Counters::default();
    let mut record = removed(8, 0);
    for hit in [false, true] {
        record.hit = hit;
        counters.account_residual(&conntrack, Some(&TestNet), true, &record);
    }
    assert_eq!(conntrack.get(ZONE, &ours()).seen, [false]);
    assert_eq!(counters, Counters::default());
}
