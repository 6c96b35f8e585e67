// SPDX-License-Identifier: GPL-2.0-only
//! Bridged flows: rules of any kind, frames of any bytes, and an engine that answers what it
//! likes. Each rule has to know its subflows, and nobody else's.

use nft_offload_ppe::{
    flow::{Encap, PsePort},
    l2::{
        detect::{keys_len, Candidate, Detect},
        filter::{Filter, FilterParser},
        filters::{Filters, Record, Subflow},
        frame, Key, Sighting,
    },
    table::{BlockId, Scope},
};

use crate::{
    bytes::Bytes,
    rules,
    table::{check, new_table, Watcher},
};

const FILTERS: usize = 6;
const SUBFLOWS: usize = 12;

fn key(bytes: &mut Bytes<'_>) -> Key {
    Key {
        ingress: PsePort(1 + bytes.below(2)),
        smac: rules::mac(bytes),
        dmac: rules::mac(bytes),
        vlan: bytes.mostly(None, |bytes| Some(bytes.u16() & 0xfff)),
    }
}

/// A rule as the parser makes them of any keys and actions, or one of the usual ones.
fn rule(bytes: &mut Bytes<'_>) -> Option<Filter> {
    if bytes.bool() {
        return Some(Filter {
            key: key(bytes),
            v6: bytes.mostly(None, |bytes| Some(bytes.bool())),
            l4: bytes.mostly(None, |bytes| Some(rules::l4(bytes))),
            egress: rules::endpoint(bytes),
            out_encap: Encap::NONE,
        });
    }
    let mut parser = FilterParser::new();
    for _ in 0..bytes.below(16) {
        if bytes.bool() {
            parser.on_match(rules::key(bytes));
        } else {
            parser.on_action(rules::action(bytes));
        }
    }
    let _ = parser.outline();
    let ingress = PsePort(1 + bytes.below(2));
    parser.finish(ingress, rules::find).ok()
}

/// The target.
pub fn run(data: &[u8]) {
    let mut table = new_table(Bytes(data));
    let mut all: Filters<Watcher<'_>> =
        Filters::new(vec![Record::EMPTY; FILTERS], vec![Subflow::EMPTY; SUBFLOWS])
            .expect("lengths fit");
    let mut watch =
        Detect::new(vec![None; keys_len(FILTERS)], vec![Candidate::NONE; 4]).expect("lengths fit");
    // Owners of subflows, each greater than those before.
    let mut flows = 100;
    while !table.hw.bytes.is_empty() {
        let now_ms = table.hw.now_ms.get();
        let owner = BlockId(table.hw.bytes.below(2).into());
        let cookie = table.hw.bytes.below(8).into();
        match table.hw.bytes.below(10) {
            0 | 1 => {
                let prio = table.hw.bytes.below(3).into();
                if let Some(rule) = rule(&mut table.hw.bytes) {
                    flows += 1;
                    let _ = all.insert(&mut table, owner, cookie, BlockId(flows), prio, &rule);
                    watch.set_keys(all.keys());
                }
            }
            2 => {
                let _ = all.remove(&mut table, owner, cookie);
                watch.set_keys(all.keys());
            }
            3 if table.hw.bytes.below(4) == 0 => {
                let _ = all.remove_owner(&mut table, owner);
                watch.set_keys(all.keys());
            }
            3 | 4 => {
                let key = key(&mut table.hw.bytes);
                let ethertype = [0x0800, 0x86dd, 0x8100][usize::from(table.hw.bytes.below(3))];
                let packets = table.hw.bytes.mostly(40, Bytes::u32);
                if let Some((l4, tuple)) = frame::parse(ethertype, table.hw.bytes.take(60)) {
                    watch.seen(&key, l4, &tuple, packets, now_ms);
                }
            }
            5 => {
                let seen = Sighting {
                    key: key(&mut table.hw.bytes),
                    l4: rules::l4(&mut table.hw.bytes),
                    tuple: rules::tuple(&mut table.hw.bytes),
                };
                watch.seen(&seen.key, seen.l4, &seen.tuple, 40, now_ms);
                while let Some(seen) = watch.take() {
                    let _ = all.bind(&mut table, &seen, |_| Ok(()));
                }
            }
            6 => {
                let _ = all.stats(&mut table, owner, cookie);
            }
            7 => {
                let _ = all.age(&mut table);
            }
            8 => {
                let port = PsePort(1 + table.hw.bytes.below(2));
                let scope =
                    [Scope::Direction, Scope::Connection][usize::from(table.hw.bytes.below(2))];
                table.remove(
                    scope,
                    |record| record.flow.ingress.port == port,
                    |record| all.forget(record),
                );
            }
            _ => table.hw.happen(),
        }
        let mut subflows = 0;
        for record in all.iter() {
            let mut mine = 0;
            for subflow in all.subflows(record) {
                let slot = table.find(record.flows, subflow.into());
                let flow = slot.and_then(|slot| table.get(slot));
                let flow = flow.expect("a subflow is in the table").flow;
                assert!(!flow.routed && record.rule.takes(flow.l4, &flow.tuple));
                mine += 1;
            }
            assert_eq!(record.subflows, mine);
            assert!(watch.has(&record.rule.key));
            subflows += mine;
        }
        assert_eq!(all.rules_stats().subflows, subflows);
        assert_eq!(all.rules_stats().rules as usize, all.iter().count());
        assert_eq!(table.table_stats().flows, subflows, "a flow without a rule");
        check(&table);
    }
}
