// SPDX-License-Identifier: GPL-2.0-only

//! What conntrack is told at the end of a flow.

use super::*;

fn removed(tag: u64, packets: u64) -> Record {
    let mut record = Record::EMPTY;
    record.ct_id = tag;
    record.flow = flow(L4::Udp, v4(1, 1, 2, 2));
    record.unreported = Count {
        packets,
        bytes: 100 * packets,
    };
    record
}

#[test]
fn what_nobody_asked_for_goes_to_the_connection() {
    let conntrack = Connections::default();
    let key = removed(0, 0).flow.key();
    conntrack.0.borrow_mut().insert(key, (8, Count::ZERO));
    let mut counters = Counters::default();
    let mut end = |net, tag, packets| {
        counters.account_residual(&conntrack, net, &removed(tag, packets));
        let Counters {
            residual,
            residual_lost,
            forwarded,
            ..
        } = counters;
        assert_eq!(residual.bytes, 100 * residual.packets);
        (forwarded.packets, residual.packets, residual_lost)
    };
    assert_eq!(end(Some(&TestNet), 8, 3), (3, 3, 0));
    // Nothing was left.
    assert_eq!(end(Some(&TestNet), 8, 0), (3, 3, 0));
    // A flowtable without `counter`.
    assert_eq!(end(Some(&TestNet), 0, 5), (8, 3, 0));
    // Another connection, and no namespace.
    assert_eq!(end(Some(&TestNet), 10, 1), (9, 3, 1));
    assert_eq!(end(None, 8, 1), (10, 3, 2));
    assert_eq!(end(None, 8, 0), (10, 3, 2));
    let count = Count {
        packets: 3,
        bytes: 300,
    };
    assert_eq!(conntrack.0.borrow()[&key], (8, count));
}
