// SPDX-License-Identifier: GPL-2.0-only
//! Any rule: keys and actions in any order, with any values. What the parser takes and the
//! chip admits has to be encoded so that the entry says the same as the rule.

use nft_offload_ppe::{
    caps::admit,
    flow::{Flow, Tuple},
    flow_rule::{parser::RuleParser, Action, Match},
    format::{Kind, State},
};

use crate::{
    bytes::Bytes,
    rules::{self, chip},
};

/// Keys and actions that are the usual ones: the rest of a rule, if the bytes ask for it.
/// Otherwise a whole rule would hardly ever come about.
fn usual(parser: &mut RuleParser, bytes: &mut Bytes<'_>) {
    use nft_offload_ppe::flow_rule::{AddrType, MangleHeader};

    let v6 = bytes.bool();
    let udp = bytes.bool();
    parser.on_match(Match::Meta {
        ingress: rules::device(bytes),
        mask: u32::MAX,
        other_masks: 0,
    });
    parser.on_match(Match::Control {
        addr_type: if v6 { AddrType::V6 } else { AddrType::V4 },
        flags_mask: 0,
        thoff_mask: 0,
    });
    parser.on_match(Match::Basic {
        n_proto: if v6 { 0x86dd } else { 0x0800 },
        n_proto_mask: u16::MAX,
        ip_proto: if udp { 17 } else { 6 },
        ip_proto_mask: u8::MAX,
    });
    if v6 {
        parser.on_match(Match::Ipv6Addrs {
            src: bytes.array(),
            dst: bytes.array(),
            src_mask: [0xff; 16],
            dst_mask: [0xff; 16],
        });
    } else {
        parser.on_match(Match::Ipv4Addrs {
            src: bytes.array(),
            dst: bytes.array(),
            src_mask: [0xff; 4],
            dst_mask: [0xff; 4],
        });
    }
    parser.on_match(Match::Ports {
        sport: bytes.u16(),
        dport: bytes.u16(),
        sport_mask: u16::MAX,
        dport_mask: u16::MAX,
    });
    for (offset, mask) in [(0, 0), (4, 0xffff_0000), (4, 0xffff), (8, 0)] {
        parser.on_action(Action::Mangle {
            header: MangleHeader::Eth,
            offset,
            mask,
            val: bytes.mostly(0x0202_0202, Bytes::u32),
        });
    }
    parser.on_action(Action::Redirect {
        egress: rules::device(bytes),
    });
}

/// The target.
pub fn run(data: &[u8]) {
    let bytes = &mut Bytes(data);
    let chip = chip(bytes);
    let timestamp = bytes.u16();
    // The storage of flows is used again.
    let mut parser = RuleParser::new(Flow {
        new: rules::tuple(bytes),
        ..Flow::NONE
    });
    parser.begin();
    if bytes.bool() {
        usual(&mut parser, bytes);
    }
    while !bytes.is_empty() {
        // What comes after a refusal is taken for the log only.
        if bytes.bool() {
            parser.on_match(rules::key(bytes));
        } else {
            parser.on_action(rules::action(bytes));
        }
    }
    let parsed = parser.finish(rules::find);
    let _ = parser.reverse_of_8021ad();
    let _ = parser.outline();
    if parsed.is_ok() {
        check(parser.flow(), chip, timestamp);
    }
}

/// Whether the two have addresses of the same family.
fn alike(a: &Tuple, b: &Tuple) -> bool {
    a.is_v6() == b.is_v6()
}

fn check(flow: &Flow, chip: &nft_offload_ppe::spec::Spec, timestamp: u16) {
    assert!(alike(&flow.tuple, &flow.new), "two families: {flow:?}");
    assert!(!flow.tuple.is_multicast() && !flow.new.is_multicast());
    for mac in [flow.smac, flow.dmac] {
        assert!(mac != [0; 6] && mac[0] & 1 == 0, "address of no station");
    }
    let _ = flow.to_string();
    if admit(flow, &chip.caps).is_err() {
        return;
    }
    let Ok(entry) = chip.format.encode(flow, timestamp) else {
        return;
    };
    assert_eq!(entry.words().len(), chip.format.entry_words());
    assert!(chip.format.is_bound(entry.word0()));
    assert!(chip.format.same_key(entry.words(), flow));
    let read = chip.format.decode(entry.words());
    assert_eq!(read.state, State::Bound);
    assert_eq!(read.l4, flow.l4);
    assert_eq!(read.orig, Some(flow.tuple), "{flow:?}");
    match read.kind {
        Kind::V4Napt => assert_eq!(read.new, Some(flow.new)),
        Kind::V6Route5 => assert_eq!(flow.new, flow.tuple),
        kind => panic!("no kind for a flow: {kind:?}"),
    }
    assert_eq!((read.smac, read.dmac), (flow.smac, flow.dmac));
    assert_eq!(read.egress, flow.egress.port);
    assert_eq!(read.pppoe, flow.out_encap.pppoe);
    assert_eq!(read.dsa, flow.egress.dsa.map(|dsa| dsa.number));
    let mask = u16::MAX >> (16 - chip.format.timestamp_bits());
    assert_eq!(chip.format.timestamp(entry.word0()), timestamp & mask);
    let _ = read.line(0, 0, 0).to_string();
    for capacity in [16, 1024, 16384] {
        for slot in chip.format.slots(flow, capacity) {
            assert!(u32::from(slot) < capacity && chip.format.usable(slot));
        }
    }
}
