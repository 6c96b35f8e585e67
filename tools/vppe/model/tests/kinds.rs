// SPDX-License-Identifier: GPL-2.0-only
//! Every kind of flow on every generation, to the last byte of the frame that leaves.

mod common;

use common::*;
use vppe_model::chip::MT7986;
use vppe_model::{CpuReason, Port, Verdict};

/// The layer-2 header a flow leaves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Out {
    vlans: &'static [u16],
    pppoe: Option<u16>,
    /// Port of the switch.
    dsa: Option<u32>,
}

const fn out(vlans: &'static [u16], pppoe: Option<u16>, dsa: Option<u32>) -> Out {
    Out { vlans, pppoe, dsa }
}

/// All headers that the known driver programs: up to two layers of tags and PPPoE, and the tag
/// of a switch.
const OUTS: &[Out] = &[
    out(&[], None, None),
    out(&[100], None, None),
    out(&[0xfff, 1], None, None),
    out(&[], Some(0xbeef), None),
    out(&[7], Some(1), None),
    out(&[], None, Some(0)),
    out(&[], None, Some(5)),
    out(&[42], None, Some(3)),
    out(&[42, 43], None, Some(2)),
    out(&[], Some(0x1234), Some(1)),
    out(&[835], Some(0xffff), Some(4)),
];

/// The bytes of an incoming frame between addresses and IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct In {
    tags: &'static [u8],
    pppoe: bool,
}

const INS: &[In] = &[
    In {
        tags: &[],
        pppoe: false,
    },
    In {
        tags: &[0x81, 0x00, 0x00, 0x05],
        pppoe: false,
    },
    In {
        tags: &[0x81, 0x00, 0x60, 0x05, 0x81, 0x00, 0x00, 0x06],
        pppoe: false,
    },
    In {
        tags: &[0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x00, 0x06],
        pppoe: false,
    },
    In {
        tags: &[],
        pppoe: true,
    },
    In {
        tags: &[0x81, 0x00, 0x00, 0x05],
        pppoe: true,
    },
];

/// The flow with the words that make it leave like this.
///
/// Each tag raises `VLAN_LAYER`; the first one sets `VLAN_TAG`. PPPoE takes the ethertype. A
/// switch's tag takes the ethertype too, with a bit for its port, and with bit 8 if it includes
/// a tag. It needs a layer of its own if the flow has no tag, and it clears `VLAN_TAG`.
fn leaving(flow: Flow, out: Out) -> Flow {
    let mut flow = flow;
    flow.vlan_layer = out.vlans.len() as u32;
    flow.vlan_tag = !out.vlans.is_empty();
    flow.vlan1 = out.vlans.first().copied().unwrap_or(0);
    flow.vlan2 = out.vlans.get(1).copied().unwrap_or(0);
    flow.pppoe = out.pppoe;
    if out.pppoe.is_some() {
        flow.etype = 0x8864;
    }
    if let Some(port) = out.dsa {
        flow.etype = 1 << port | u16::from(flow.vlan_layer > 0) << 8;
        flow.vlan_layer = flow.vlan_layer.max(1);
        flow.vlan_tag = false;
    }
    flow
}

fn pppoe_header(session: u16, packet: usize, v6: bool) -> Vec<u8> {
    let mut bytes = vec![0x88, 0x64, 0x11, 0x00];
    bytes.extend(session.to_be_bytes());
    bytes.extend((packet as u16 + 2).to_be_bytes());
    bytes.extend(if v6 { [0x00, 0x57] } else { [0x00, 0x21] });
    bytes
}

fn ethertype(v6: bool) -> [u8; 2] {
    if v6 {
        [0x86, 0xdd]
    } else {
        [0x08, 0x00]
    }
}

/// The frame that must leave, field by field.
fn expected(flow: &Flow, out: Out, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&WAN_HOST[..], &WAN.mac].concat();
    let mut vlans = out.vlans.iter();
    if let Some(port) = out.dsa {
        // MediaTek's tag: whether it includes an 802.1Q tag, a bit for the port, tag control.
        let vlan = vlans.next();
        bytes.extend([u8::from(vlan.is_some()), 1 << port]);
        bytes.extend(vlan.unwrap_or(&0).to_be_bytes());
    }
    for vlan in vlans {
        bytes.extend([0x81, 0x00]);
        bytes.extend(vlan.to_be_bytes());
    }
    let packet = flow.translated().packet(63, payload);
    match out.pppoe {
        Some(session) => bytes.extend(pppoe_header(session, packet.len(), flow.v6)),
        None => bytes.extend(ethertype(flow.v6)),
    }
    bytes.extend(packet);
    bytes
}

/// A frame of the flow with these bytes between addresses and packet.
fn incoming(flow: &Flow, with: In, payload: &[u8]) -> Vec<u8> {
    let packet = flow.packet(64, payload);
    let mut bytes = [&LAN.mac[..], &LAN_HOST, with.tags].concat();
    if with.pppoe {
        bytes.extend(pppoe_header(0x4321, packet.len(), flow.v6));
    } else {
        bytes.extend(ethertype(flow.v6));
    }
    bytes.extend(packet);
    bytes
}

/// Each incoming header with each outgoing one: push, pop and rewrite of tags and PPPoE.
#[test]
fn every_kind_in_and_out() {
    for chip in each_kind() {
        for base in flows() {
            for &out in OUTS {
                let mut lab = Lab::on(chip);
                let flow = leaving(base.clone(), out);
                lab.bind(&flow);
                let expected = expected(&flow, out, b"payload");
                for &with in INS {
                    let got = lab.expect_forward(&incoming(&flow, with, b"payload"));
                    assert!(
                        got == expected,
                        "{} {with:?} {out:?}\n{got:02x?}\n{expected:02x?}",
                        chip.name
                    );
                }
                let forwarded = lab.engine.ppes()[0].stats().forwarded;
                assert_eq!(forwarded, INS.len() as u64);
            }
        }
    }
}

/// From a switch: the switch's tag comes first, with or without a tag in it.
#[test]
fn every_kind_from_a_switch() {
    let lan = Port {
        special_tag: true,
        ..LAN
    };
    let tags: [&[u8]; 3] = [
        &[0x00, 0x03, 0x00, 0x00],
        &[0x01, 0x03, 0x00, 0x2a],
        &[0x02, 0x01, 0xe0, 0x2a, 0x81, 0x00, 0x00, 0x07],
    ];
    for chip in each_kind() {
        for base in flows() {
            for &out in OUTS {
                let mut lab = Lab::with(chip, &[lan, WAN]);
                let flow = leaving(base.clone(), out);
                lab.bind(&flow);
                for tags in tags {
                    for pppoe in [false, true] {
                        let frame = incoming(&flow, In { tags, pppoe }, b"dsa");
                        let got = lab.expect_forward(&frame);
                        assert_eq!(got, expected(&flow, out, b"dsa"), "{}", chip.name);
                    }
                }
                // The other port has no switch: such a frame is no flow there.
                let with = In {
                    tags: tags[0],
                    pppoe: false,
                };
                let (verdict, _) = lab.process_from(WAN.pse, &incoming(&flow, with, b"dsa"));
                assert!(matches!(verdict, Verdict::ToCpu { .. }), "{verdict:?}");
            }
        }
    }
}

/// The Ethernet driver says in the forward register that there is a switch.
#[test]
fn the_special_tag_is_a_bit_of_the_forward_register() {
    let flow = Flow::v4(true);
    let frame = incoming(
        &flow,
        In {
            tags: &[0x00, 0x01, 0x00, 0x00],
            pppoe: false,
        },
        b"x",
    );
    let mut lab = Lab::new();
    lab.bind(&flow);
    lab.expect_cpu(&frame, CpuReason::NoFlow);
    lab.engine.write(&lab.memory, 0x500, 1 << 24 | 0x3333);
    lab.expect_forward(&frame);
    // All frames must have the tag now; one that ends within the tag is no flow.
    lab.expect_cpu(&frame[..17], CpuReason::NoFlow);
    assert_ne!(lab.process(&flow.frame(b"x")).0, TO_WAN);
}

/// In and out of the same port.
#[test]
fn hairpin() {
    for chip in each_kind() {
        for base in flows() {
            for &out in OUTS {
                let mut lab = Lab::on(chip);
                let flow = leaving(
                    Flow {
                        pse: 1,
                        ..base.clone()
                    },
                    out,
                );
                let index = lab.bind(&flow);
                let (verdict, got) = lab.process(&flow.frame(b"hairpin"));
                assert_eq!(verdict, Verdict::Forward { port: 1 });
                assert_eq!(got, expected(&flow, out, b"hairpin"), "{}", chip.name);
                if facts(chip).accounting {
                    assert_eq!(lab.mib(index).0, 1);
                }
            }
        }
    }
}

/// Each combination of new source and destination addresses and ports.
#[test]
fn every_translation() {
    for chip in each_kind() {
        for udp in [true, false] {
            for which in 0..16 {
                let base = Flow::v4(udp);
                let pick =
                    |bit: u32, new: u32, old: u32| if which >> bit & 1 != 0 { new } else { old };
                let flow = Flow {
                    new_src: pick(0, 0xc633_6401, base.src[0]),
                    new_dst: pick(1, 0x0a00_0002, base.dst[0]),
                    new_sport: pick(2, 61000, u32::from(base.sport)) as u16,
                    new_dport: pick(3, 8080, u32::from(base.dport)) as u16,
                    ..base
                };
                let mut lab = Lab::on(chip);
                lab.bind(&flow);
                let plain = out(&[], None, None);
                let got = lab.expect_forward(&flow.frame(b"nat"));
                assert_eq!(got, expected(&flow, plain, b"nat"), "{} {which}", chip.name);
            }
        }
    }
}

/// The limits include tags, PPPoE and the switch's tag.
#[test]
fn limits_by_kind() {
    for chip in each_kind() {
        for &out in OUTS {
            let mut lab = Lab::on(chip);
            let flow = leaving(Flow::v4(true), out);
            lab.bind(&flow);
            // A switch's tag includes the first VLAN tag.
            let tags = out.vlans.len().max(usize::from(out.dsa.is_some()));
            let layers = tags + usize::from(out.pppoe.is_some());
            let limit = 1514 + 4 * layers;
            let head = 14 + 4 * tags + if out.pppoe.is_some() { 8 } else { 0 };
            let room = limit - head - 28;
            let got = lab.expect_forward(&flow.frame(&vec![1; room]));
            assert_eq!(got.len(), limit, "{out:?}");
            lab.expect_cpu(&flow.frame(&vec![1; room + 1]), CpuReason::ExceedMtu);
        }
    }
}

/// The frame shows which word a driver forgot: the PPE takes the ethertype from the entry, and
/// without `VLAN_TAG` it writes that word in place of a switch's tag.
#[test]
fn forgotten_words_show() {
    let flow = Flow::v4(true);
    let mut lab = Lab::on(&MT7986);
    lab.bind(&Flow {
        pppoe: Some(1),
        ..flow.clone()
    });
    let got = lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(got[12..16], [0x08, 0x00, 0x11, 0x00]);
    let mut lab = Lab::on(&MT7986);
    lab.bind(&Flow {
        vlan_layer: 1,
        vlan1: 7,
        ..flow.clone()
    });
    let got = lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(got[12..18], [0x08, 0x00, 0x00, 0x07, 0x08, 0x00]);
}
