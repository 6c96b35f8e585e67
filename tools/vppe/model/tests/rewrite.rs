// SPDX-License-Identifier: GPL-2.0-only
//! What leaves: addresses, ports, checksums, TTL, tags, PPPoE.

mod common;

use common::*;
use etherparse::{PacketHeaders, TransportHeader};
use proptest::prelude::*;
use vppe_model::CpuReason;

/// Parses an IP packet, and checks each checksum against a full computation.
fn check(packet: &[u8]) -> PacketHeaders<'_> {
    let headers = PacketHeaders::from_ip_slice(packet).unwrap();
    let payload = headers.payload.slice();
    match headers.net.as_ref().unwrap() {
        etherparse::NetHeaders::Ipv4(ip, _) => {
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            match headers.transport.as_ref().unwrap() {
                TransportHeader::Udp(udp) if udp.checksum == 0 => (),
                TransportHeader::Udp(udp) => {
                    assert_eq!(udp.checksum, udp.calc_checksum_ipv4(ip, payload).unwrap());
                }
                TransportHeader::Tcp(tcp) => {
                    assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(ip, payload).unwrap());
                }
                _ => panic!("no transport"),
            }
        }
        etherparse::NetHeaders::Ipv6(ip, _) => match headers.transport.as_ref().unwrap() {
            TransportHeader::Udp(udp) => {
                assert_eq!(udp.checksum, udp.calc_checksum_ipv6(ip, payload).unwrap());
            }
            TransportHeader::Tcp(tcp) => {
                assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(ip, payload).unwrap());
            }
            _ => panic!("no transport"),
        },
        _ => panic!("no IP"),
    }
    headers
}

#[test]
fn nat_of_udp_and_tcp() {
    for udp in [true, false] {
        let mut lab = Lab::new();
        let flow = Flow::v4(udp);
        lab.bind(&flow);
        let out = lab.expect_forward(&flow.frame(b"hello"));
        assert_eq!(out[..6], WAN_HOST);
        assert_eq!(out[6..12], WAN.mac);
        assert_eq!(out[12..14], [0x08, 0x00]);
        check(&out[14..]);
        // The whole packet as a builder makes it from the new tuple.
        let new = Flow {
            src: [flow.new_src, 0, 0, 0],
            dst: [flow.new_dst, 0, 0, 0],
            sport: flow.new_sport,
            dport: flow.new_dport,
            ..flow.clone()
        };
        assert_eq!(out[14..], new.packet(63, b"hello"));
    }
}

#[test]
fn routes_leave_addresses_and_ports() {
    for flow in [
        Flow::v6(true),
        Flow::v6(false),
        Flow {
            route: true,
            ..Flow::v4(true)
        },
        Flow {
            route: true,
            ..Flow::v4(false)
        },
    ] {
        let mut lab = Lab::new();
        lab.bind(&flow);
        let out = lab.expect_forward(&flow.frame(b"routed"));
        assert_eq!(out[..6], WAN_HOST);
        assert_eq!(out[12..14], flow.etype.to_be_bytes());
        check(&out[14..]);
        assert_eq!(out[14..], flow.packet(63, b"routed"));
    }
}

#[test]
fn ttl_stays_without_its_bit() {
    let mut lab = Lab::new();
    let flow = Flow {
        ttl: false,
        route: true,
        ..Flow::v4(true)
    };
    lab.bind(&flow);
    let out = lab.expect_forward(&flow.frame_with(1, b"x"));
    assert_eq!(out[14..], flow.packet(1, b"x"));
}

#[test]
fn udp_without_checksum_stays_without() {
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let mut frame = flow.frame(b"none");
    frame[40..42].fill(0);
    let out = lab.expect_forward(&frame);
    assert_eq!(out[40..42], [0, 0]);
    check(&out[14..]);
}

/// A payload word runs through all values: the rewritten checksum is 0 for one of them,
/// and must then be sent as 0xffff.
#[test]
fn udp_checksum_that_comes_out_zero_is_sent_as_ones() {
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let mut ones = 0;
    for word in 0..=u16::MAX {
        let out = lab.expect_forward(&flow.frame(&word.to_be_bytes()));
        assert_ne!(out[40..42], [0, 0]);
        ones += u32::from(out[40..42] == [0xff, 0xff]);
        check(&out[14..]);
    }
    assert_eq!(ones, 1);
}

#[test]
fn tags_are_pushed() {
    let cases: [(u32, u16, u16, &[u8]); 2] = [
        (1, 100, 0, &[0x81, 0x00, 0, 100, 0x08, 0x00]),
        (
            2,
            100,
            0x2007,
            &[0x81, 0x00, 0, 100, 0x81, 0x00, 0x20, 7, 0x08, 0x00],
        ),
    ];
    for (vlan_layer, vlan1, vlan2, expected) in cases {
        let mut lab = Lab::new();
        let flow = Flow {
            vlan_layer,
            vlan_tag: true,
            vlan1,
            vlan2,
            ..Flow::v4(true)
        };
        lab.bind(&flow);
        let out = lab.expect_forward(&flow.frame(b"tagged"));
        assert_eq!(out[12..12 + expected.len()], *expected);
        check(&out[12 + expected.len()..]);
    }
}

#[test]
fn tags_and_pppoe_that_came_in_do_not_leave() {
    let flow = Flow::v4(true);
    let packet = flow.packet(64, b"data");
    let pppoe_len = (packet.len() as u16 + 2).to_be_bytes();
    let heads: [&[u8]; 4] = [
        &[0x81, 0x00, 0x00, 0x05, 0x08, 0x00],
        &[0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x00, 0x06, 0x08, 0x00],
        &[
            0x88,
            0x64,
            0x11,
            0,
            0x12,
            0x34,
            pppoe_len[0],
            pppoe_len[1],
            0,
            0x21,
        ],
        &[
            0x81,
            0x00,
            0x00,
            0x05,
            0x88,
            0x64,
            0x11,
            0,
            0x12,
            0x34,
            pppoe_len[0],
            pppoe_len[1],
            0,
            0x21,
        ],
    ];
    for head in heads {
        let mut lab = Lab::new();
        lab.bind(&flow);
        let mut frame = [&LAN.mac[..], &LAN_HOST, head].concat();
        frame.extend_from_slice(&packet);
        let out = lab.expect_forward(&frame);
        let plain = lab.expect_forward(&flow.frame(b"data"));
        assert_eq!(out, plain);
    }
}

#[test]
fn pppoe_is_pushed_with_its_length() {
    for (flow, ppp) in [
        (Flow::v4(true), [0x00, 0x21]),
        (Flow::v6(false), [0x00, 0x57]),
    ] {
        for vlan in [false, true] {
            let mut lab = Lab::new();
            let flow = Flow {
                pppoe: Some(0xbeef),
                etype: 0x8864,
                vlan_layer: u32::from(vlan),
                vlan_tag: vlan,
                vlan1: 7,
                ..flow.clone()
            };
            lab.bind(&flow);
            let out = lab.expect_forward(&flow.frame(b"data"));
            let at = if vlan {
                assert_eq!(out[12..16], [0x81, 0x00, 0x00, 0x07]);
                16
            } else {
                12
            };
            let ip = flow.packet(63, b"data").len() as u16;
            let [hi, lo] = (ip + 2).to_be_bytes();
            let header = [0x88, 0x64, 0x11, 0x00, 0xbe, 0xef, hi, lo, ppp[0], ppp[1]];
            assert_eq!(out[at..at + 10], header);
            assert_eq!(out.len(), at + 10 + usize::from(ip));
            check(&out[at + 10..]);
        }
    }
}

#[test]
fn special_tag_takes_the_place_of_the_ethertype() {
    let mut lab = Lab::new();
    let flow = Flow {
        vlan_layer: 1,
        vlan_tag: false,
        etype: 1 << 3 | 1 << 8,
        vlan1: 42,
        ..Flow::v4(true)
    };
    lab.bind(&flow);
    let out = lab.expect_forward(&flow.frame(b"dsa"));
    assert_eq!(out[12..18], [0x01, 0x08, 0, 42, 0x08, 0x00]);
    check(&out[18..]);
}

#[test]
fn padding_does_not_leave() {
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let mut frame = flow.frame(b"x");
    let len = frame.len();
    frame.resize(60, 0xee);
    assert_eq!(lab.expect_forward(&frame).len(), len);
}

proptest! {
    /// By difference or in full: the checksums are the same, whatever the packet.
    #[test]
    fn checksums_equal_a_full_computation(
        udp: bool, src: u32, dst: u32, sport: u16, dport: u16,
        new_src: u32, new_dst: u32, new_sport: u16, new_dport: u16,
        ttl in 2u8.., payload in prop::collection::vec(any::<u8>(), 0..200),
        decrement: bool,
    ) {
        let mut lab = Lab::new();
        let flow = Flow {
            src: [src, 0, 0, 0], dst: [dst, 0, 0, 0], sport, dport,
            new_src, new_dst, new_sport, new_dport, ttl: decrement,
            ..Flow::v4(udp)
        };
        lab.bind(&flow);
        let out = lab.expect_forward(&flow.frame_with(ttl, &payload));
        let headers = check(&out[14..]);
        prop_assert_eq!(headers.payload.slice(), &payload[..]);
        let Some(etherparse::NetHeaders::Ipv4(ip, _)) = &headers.net else { panic!() };
        prop_assert_eq!(ip.source, new_src.to_be_bytes());
        prop_assert_eq!(ip.destination, new_dst.to_be_bytes());
        prop_assert_eq!(ip.time_to_live, ttl - u8::from(decrement));
        let (s, d) = match headers.transport.as_ref().unwrap() {
            TransportHeader::Udp(h) => (h.source_port, h.destination_port),
            TransportHeader::Tcp(h) => (h.source_port, h.destination_port),
            _ => panic!(),
        };
        prop_assert_eq!((s, d), (new_sport, new_dport));
    }

    #[test]
    fn v6_is_routed_whatever_the_packet(
        udp: bool, src: [u32; 4], dst: [u32; 4], sport: u16, dport: u16,
        hop in 2u8.., payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut lab = Lab::new();
        let flow = Flow { src, dst, sport, dport, ..Flow::v6(udp) };
        lab.bind(&flow);
        let out = lab.expect_forward(&flow.frame_with(hop, &payload));
        check(&out[14..]);
        prop_assert_eq!(&out[14..], &flow.packet(hop - 1, &payload)[..]);
    }

    /// Whatever comes in: no panic, and what goes to the CPU is what came in.
    #[test]
    fn garbage_is_survived(
        mut frame in prop::collection::vec(any::<u8>(), 0..120),
        etype in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8100, 0x88a8, 0x8864, 0x0806]),
        first in prop::sample::select(vec![0x45u8, 0x46, 0x60, 0x11, 0x00]),
    ) {
        let mut lab = Lab::new();
        lab.write(0x21c, TB_CFG_BUILD);
        if frame.len() >= 15 {
            frame[..6].copy_from_slice(&LAN.mac);
            frame[12..14].copy_from_slice(&etype.to_be_bytes());
            frame[14] = first;
        }
        let (verdict, out) = lab.process(&frame);
        prop_assert_ne!(verdict, TO_WAN);
        prop_assert_eq!(out, frame);
    }

    /// One flipped bit in the packet: never forwarded with a checksum that fits again.
    #[test]
    fn damage_is_seen(udp: bool, v6: bool, bit in 0usize..400) {
        let mut lab = Lab::new();
        let flow = if v6 { Flow::v6(udp) } else { Flow::v4(udp) };
        lab.bind(&flow);
        let mut frame = flow.frame(b"0123456789abcdef");
        let at = 14 + bit / 8;
        prop_assume!(at < frame.len());
        frame[at] ^= 1 << (bit % 8);
        let (verdict, out) = lab.process(&frame);
        if verdict == TO_WAN {
            // Bits that no checksum covers: traffic class, flow label, hop limit.
            prop_assert!(v6 && (at < 18 || at == 21));
            check(&out[14..]);
        } else {
            prop_assert_eq!(out, frame);
        }
    }
}

#[test]
fn mtu_is_that_of_the_frame_that_leaves() {
    // VLAN_MTU0/1 as programmed: 1514 for none, 4 more per tag; PPPoE counts as a tag.
    let cases = [
        (0, None, 14),
        (1, None, 18),
        (2, None, 22),
        (0, Some(1), 22),
    ];
    for (vlan_layer, pppoe, head) in cases {
        let tags = vlan_layer + u32::from(pppoe.is_some());
        let mut lab = Lab::new();
        let flow = Flow {
            vlan_layer,
            vlan_tag: vlan_layer > 0,
            pppoe,
            ..Flow::v4(true)
        };
        lab.bind(&flow);
        let limit = 1514 + 4 * tags as usize;
        let payload = limit - head - 28;
        let out = lab.expect_forward(&flow.frame(&vec![1; payload]));
        assert_eq!(out.len(), limit);
        lab.expect_cpu(&flow.frame(&vec![1; payload + 1]), CpuReason::ExceedMtu);
    }
}
