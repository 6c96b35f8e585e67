// SPDX-License-Identifier: GPL-2.0-only
//! The frame that leaves: addresses, ports, checksums, TTL. Tags and PPPoE: kinds.rs.

mod common;

use common::*;
use etherparse::{PacketHeaders, TransportHeader};
use proptest::prelude::*;

/// Parses an IP packet and compares each checksum with a full computation.
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
        assert_eq!(out, flow.forwarded(b"hello"));
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

/// One value of a payload word gives the checksum 0, which must leave as 0xffff.
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
    /// The checksums by difference equal those of a full computation.
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

    /// Any bytes: the model does not panic, and the CPU gets the frame unmodified.
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

    /// The PPE does not forward a packet with a flipped bit that a checksum covers.
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
            // No checksum covers traffic class, flow label and hop limit.
            prop_assert!(v6 && (at < 18 || at == 21));
            check(&out[14..]);
        } else {
            prop_assert_eq!(out, frame);
        }
    }
}
