// SPDX-License-Identifier: GPL-2.0-only
//! Which frames the PPE forwards, and why others go to the CPU.

mod common;

use common::*;
use etherparse::PacketBuilder;
use vppe_model::entry::Key;
use vppe_model::{hash, CpuReason, Dma, Verdict};

/// Computed by hand from the formula in the facts.
#[test]
fn hash_vectors() {
    let bucket = |key: &Key, entries, ways| hash::bucket(key, 1, 0, entries, ways);
    // hv1 = 0x04d21f90 (ports 1234, 8080), hv2 = 0x08080808, hv3 = 0xc0a80164:
    // (hv1 & hv2) | (~hv1 & hv3) = 0x00000800 | 0xc0280064 = 0xc0280864,
    // rotated by 8: 0x280864c0; ^ hv1 ^ hv2 ^ hv3 = 0xe47a723c; ^ (h >> 16) = 0xe47a9646;
    // << 2 = ...65918, & 0x3fff = 0x1918.
    let v4 = Key {
        ports: 0x04d2_1f90,
        src: [0xc0a8_0164, 0, 0, 0],
        dst: [0x0808_0808, 0, 0, 0],
        ..Key::default()
    };
    assert_eq!(bucket(&v4, 16384, 4), 0x1918);
    // With two ways: << 1.
    assert_eq!(bucket(&v4, 16384, 2), 0x2c8c);
    // The hash does not include the protocol.
    assert_eq!(bucket(&Key { udp: true, ..v4 }, 16384, 4), 0x1918);
    // hv1 = s3 ^ d3 ^ ports = 1 ^ 2 ^ 0x00500051 = 0x00500052,
    // hv2 = s2 ^ d2 ^ d0 = 0x20010db9, hv3 = s1 ^ d1 ^ s0 = 0x20010db8 ^ 0x10 = 0x20010da8:
    // (hv1 & hv2) = 0x00000010, (~hv1 & hv3) = 0x20010da8: h = 0x20010db8,
    // rotated: 0x010db820; ^ hv1 ^ hv2 ^ hv3 = 0x015db863; ^ >> 16 = 0x015db93e;
    // << 2 = 0x0576e4f8 & 0x3fff = 0x24f8.
    let v6 = Key {
        v6: true,
        ports: 0x0050_0051,
        src: [0x2001_0db8, 0, 0, 1],
        dst: [0x2001_0db9, 0x10, 0, 2],
        ..Key::default()
    };
    assert_eq!(bucket(&v6, 16384, 4), 0x24f8);
    assert_ne!(hash::bucket(&v4, 0, 0, 16384, 4), 0x1918, "another mode");
}

#[test]
fn each_way_of_the_bucket_is_found() {
    for way in 0..4 {
        let mut lab = Lab::new();
        let flow = Flow::v4(true);
        let index = flow.bucket() + way;
        lab.put(index, &flow);
        lab.expect_forward(&flow.frame(b"x"));
        assert_eq!(lab.mib(index), (1, 29));
    }
    // The neighbours are other buckets.
    for index in [Flow::v4(true).bucket() + 4, Flow::v4(true).bucket() - 1] {
        let mut lab = Lab::new();
        lab.put(index, &Flow::v4(true));
        lab.expect_cpu(&Flow::v4(true).frame(b"x"), CpuReason::UnHit);
    }
}

#[test]
fn every_part_of_the_key_counts() {
    for v6 in [false, true] {
        let flow = if v6 { Flow::v6(true) } else { Flow::v4(true) };
        let mut others = vec![
            Flow {
                udp: false,
                ..flow.clone()
            },
            Flow {
                sport: flow.sport ^ 1,
                ..flow.clone()
            },
            Flow {
                dport: flow.dport ^ 1,
                ..flow.clone()
            },
        ];
        for word in 0..if v6 { 4 } else { 1 } {
            let mut other = flow.clone();
            other.src[word] ^= 1;
            others.push(other);
            let mut other = flow.clone();
            other.dst[word] ^= 1;
            others.push(other);
        }
        for other in others {
            let mut lab = Lab::new();
            // The bucket of the frame holds the other flow.
            lab.put(flow.bucket(), &other);
            lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
        }
    }
}

#[test]
fn destination_addresses() {
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let mut frame = flow.frame(b"x");
    // A bridged frame belongs to the flow too.
    frame[..6].copy_from_slice(&WAN_HOST);
    lab.expect_forward(&frame);
    frame[..6].copy_from_slice(&[0xff; 6]);
    lab.expect_cpu(&frame, CpuReason::MulticastToCpu);
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    lab.expect_cpu(&frame, CpuReason::MulticastToCpu);
    lab.expect_forward(&flow.frame(b"x"));
}

/// The GDM's forward register decides who gets which frames of the port.
#[test]
fn forward_register_of_the_port() {
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let own = flow.frame(b"x");
    let with = |mac: [u8; 6]| [&mac, &own[6..]].concat();
    let frames = [
        own.clone(),
        with([0xff; 6]),
        with([1, 0, 0x5e, 0, 0, 1]),
        with(WAN_HOST),
    ];
    assert_eq!(lab.engine.read(&lab.memory, 0x500), 0x0070_3333);
    assert_eq!(lab.engine.read(&lab.memory, 0x1500), 0x0070_3333);
    assert_eq!(lab.engine.read(&lab.memory, 0x540), 0, "no third GDM");
    for (at, frame) in frames.iter().enumerate() {
        let shift = 12 - 4 * at;
        let others = 0x3333 & !(0xf << shift);
        // To the CPU, to the drop port, to the second PPE (which is off).
        lab.engine.write(&lab.memory, 0x500, others);
        let bypass = Verdict::ToCpu {
            reason: CpuReason::PpeBypass,
            entry: None,
        };
        assert_eq!(lab.process(frame).0, bypass);
        lab.engine.write(&lab.memory, 0x500, others | 7 << shift);
        assert_eq!(lab.process(frame).0, Verdict::Drop);
        lab.engine.write(&lab.memory, 0x500, others | 4 << shift);
        assert_eq!(lab.process(frame).0, bypass);
    }
    let to_second = |lab: &Lab| {
        let reasons = &lab.engine.ppes()[1].stats().reasons;
        reasons[CpuReason::PpeBypass as usize]
    };
    assert_eq!(to_second(&lab), 4);
    lab.engine.reset();
    assert_eq!(lab.engine.read(&lab.memory, 0x500), 0x0070_3333);
}

#[test]
fn frames_that_are_no_flow() {
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let eth = || PacketBuilder::ethernet2(LAN_HOST, LAN.mac);
    let mut ping = Vec::new();
    let echo = eth().ipv4([192, 168, 1, 10], [203, 0, 113, 5], 64);
    echo.icmpv4_echo_request(1, 2)
        .write(&mut ping, &[0; 32])
        .unwrap();
    lab.expect_cpu(&ping, CpuReason::NoFlow);
    let mut ping6 = Vec::new();
    let echo = eth().ipv6(v6_bytes(flow.src), v6_bytes(flow.dst), 64);
    echo.icmpv6_echo_request(1, 2)
        .write(&mut ping6, &[0; 32])
        .unwrap();
    lab.expect_cpu(&ping6, CpuReason::NoFlow);
    let mut arp = flow.frame(b"x");
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    lab.expect_cpu(&arp, CpuReason::NoFlow);
    lab.expect_cpu(&arp[..13], CpuReason::NoFlow);
    let whole = flow.frame(b"0123456789");
    lab.expect_cpu(&whole[..whole.len() - 1], CpuReason::NoFlow);
}

#[test]
fn closing_tcp() {
    let mut lab = Lab::new();
    let flow = Flow::v4(false);
    let with = |set: fn(&mut etherparse::TcpHeader)| flow.frame_tcp(64, b"", set);
    let fin = with(|tcp| (tcp.fin, tcp.ack) = (true, true));
    let syn = with(|tcp| tcp.syn = true);
    let rst = with(|tcp| tcp.rst = true);
    for frame in [&fin, &syn, &rst] {
        lab.expect_cpu(frame, CpuReason::TcpFinSynRst);
    }
    let index = lab.bind(&flow);
    lab.engine.set_time(5);
    lab.expect_cpu(&fin, CpuReason::HitBindTcpFin);
    lab.expect_cpu(&syn, CpuReason::TcpFinSynRst);
    lab.expect_cpu(&rst, CpuReason::TcpFinSynRst);
    assert_eq!(lab.ib1(index) & 0xff, 0, "no hit");
    assert_eq!(lab.mib(index), (0, 0), "not counted");
    lab.expect_forward(&flow.frame(b"data"));
}

#[test]
fn fragments_and_options() {
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let fix = |frame: &mut Vec<u8>| {
        let header = etherparse::Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap();
        let sum = header.to_header().calc_header_checksum();
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    };
    for flags in [0x2000u16, 0x2001, 0x0001] {
        let mut frame = flow.frame(b"x");
        frame[20..22].copy_from_slice(&flags.to_be_bytes());
        fix(&mut frame);
        lab.expect_cpu(&frame, CpuReason::Ipv4Frag);
    }
    let mut frame = flow.frame(b"x");
    frame[20..22].copy_from_slice(&0x4000u16.to_be_bytes());
    fix(&mut frame);
    lab.expect_forward(&frame);

    let mut frame = flow.frame(b"x");
    frame.splice(34..34, [1, 1, 1, 0]);
    frame[14] = 0x46;
    frame[17] += 4;
    fix(&mut frame);
    lab.expect_cpu(&frame, CpuReason::OptionHeader);

    let flow = Flow::v6(true);
    lab.bind(&flow);
    for next in [0, 43, 44, 60] {
        let mut frame = flow.frame(b"x");
        frame[20] = next;
        lab.expect_cpu(&frame, CpuReason::OptionHeader);
    }
}

#[test]
fn ttl_one_and_zero() {
    for flow in [Flow::v4(true), Flow::v6(true)] {
        let mut lab = Lab::new();
        lab.bind(&flow);
        lab.expect_cpu(&flow.frame_with(1, b"x"), CpuReason::HitTtl1);
        lab.expect_cpu(&flow.frame_with(0, b"x"), CpuReason::TtlExceeded);
        lab.expect_forward(&flow.frame_with(2, b"x"));
        lab.write(0x200, 1 | 1 << 4);
        let (verdict, _) = lab.process(&flow.frame_with(0, b"x"));
        assert_eq!(verdict, Verdict::Drop);
    }
}

#[test]
fn wrong_checksums() {
    for (flow, at) in [
        (Flow::v4(true), 40),
        (Flow::v4(false), 50),
        (Flow::v6(true), 60),
        (Flow::v6(false), 70),
    ] {
        let mut lab = Lab::new();
        lab.bind(&flow);
        let mut frame = flow.frame(b"data");
        frame[at] ^= 0x10;
        lab.expect_cpu(&frame, CpuReason::BadChecksum);
        lab.write(0x200, 1 | 1 << 2);
        assert_eq!(lab.process(&frame).0, Verdict::Drop);
        assert_eq!(lab.engine.ppes()[0].stats().dropped, 1);
    }
    let mut lab = Lab::new();
    let flow = Flow::v4(true);
    lab.bind(&flow);
    let mut frame = flow.frame(b"data");
    frame[24] ^= 1;
    lab.expect_cpu(&frame, CpuReason::BadChecksum);
    lab.write(0x200, 1 | 1 << 3);
    assert_eq!(lab.process(&frame).0, Verdict::Drop);
    // UDP over IPv6 has a checksum.
    let flow = Flow::v6(true);
    lab.bind(&flow);
    let mut frame = flow.frame(b"data");
    frame[60..62].fill(0);
    lab.expect_cpu(&frame, CpuReason::BadChecksum);
}

#[test]
fn output_ports() {
    for (pse, reason) in [(0, "cpu"), (9, "none of this board")] {
        let mut lab = Lab::new();
        let flow = Flow {
            pse,
            ..Flow::v4(true)
        };
        lab.bind(&flow);
        lab.expect_cpu(&flow.frame(reason.as_bytes()), CpuReason::HitBindForceCpu);
        let bad = lab.engine.ppes()[0].stats().bad_ports;
        assert_eq!(bad, u64::from(pse == 9));
    }
    let mut lab = Lab::new();
    let drop = Flow {
        pse: 7,
        ..Flow::v4(true)
    };
    lab.bind(&drop);
    assert_eq!(lab.process(&drop.frame(b"x")).0, Verdict::Drop);
    let mut lab = Lab::new();
    let back = Flow {
        pse: 1,
        ..Flow::v4(true)
    };
    lab.bind(&back);
    let (verdict, _) = lab.process(&back.frame(b"x"));
    assert_eq!(verdict, Verdict::Forward { port: 1 });
}

#[test]
fn flow_types_have_to_be_enabled() {
    let route = Flow {
        route: true,
        ..Flow::v4(true)
    };
    for (flow, bit) in [(Flow::v4(true), 13), (route, 12), (Flow::v6(true), 9)] {
        let mut lab = Lab::new();
        lab.bind(&flow);
        let frame = flow.frame(b"x");
        lab.write(0x204, !(1 << bit));
        let (verdict, _) = lab.process(&frame);
        assert!(matches!(verdict, Verdict::ToCpu { .. }), "{verdict:?}");
        lab.write(0x204, 1 << bit);
        lab.expect_forward(&frame);
        lab.write(0x204, 0);
        lab.expect_cpu(&frame, CpuReason::NoFlow);
    }
}

#[test]
fn an_engine_that_is_off_or_has_no_table() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.bind(&flow);
    lab.write(0x200, 0);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::PpeBypass);
    lab.write(0x200, 1);
    lab.expect_forward(&flow.frame(b"x"));
    lab.write(0x220, 0x1000);
    lab.clear_cache();
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::TableError);
    assert!(lab.engine.ppes()[0].stats().dma_errors > 0);
}

/// With a wrong value in a register for the table's geometry the PPE finds no entry.
#[test]
fn table_geometry_comes_from_the_registers() {
    let flow = Flow {
        dport: 5203,
        ..Flow::v4(true)
    };
    for (tb_cfg, why) in [
        (TB_CFG & !7, "1024 entries"),
        (TB_CFG & !(1 << 3), "not 80B"),
        (TB_CFG & !(1 << 20), "no INFO_SEL"),
        (TB_CFG & !(1 << 14), "hash mode 0"),
    ] {
        let mut lab = Lab::new();
        lab.write(0x21c, tb_cfg);
        lab.bind(&flow);
        assert!(flow.bucket() >= 1024, "{}", flow.bucket());
        assert_ne!(lab.process(&flow.frame(b"x")).0, TO_WAN, "{why}");
    }
}

#[test]
fn cache_is_stale_until_cleared() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    let index = flow.bucket();
    // The cache now holds the free entry.
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    lab.put(index, &flow);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    lab.clear_cache();
    lab.expect_forward(&flow.frame(b"x"));
    // The cache keeps the old words of a bound entry.
    lab.put(
        index,
        &Flow {
            new_sport: 7,
            ..flow.clone()
        },
    );
    let out = lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(out[34..36], flow.new_sport.to_be_bytes());
    let view = &lab.engine.ppes()[0].entries(&lab.memory)[0];
    assert!(view.cached && view.stale);
    lab.clear_cache();
    let out = lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(out[34..36], 7u16.to_be_bytes());
    lab.set_ib1(index, 0);
    lab.expect_forward(&flow.frame(b"x"));
    lab.clear_cache();
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    assert_eq!(lab.engine.ppes()[0].stats().cache_clears, 3);
}

#[test]
fn a_clear_bit_that_stays_set_clears_once() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    lab.write(0x320, 1 | 1 << 9);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    lab.put(flow.bucket(), &flow);
    lab.write(0x320, 1 | 1 << 9);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    lab.write(0x320, 1);
    lab.write(0x320, 1 | 1 << 9);
    lab.expect_forward(&flow.frame(b"x"));
}

#[test]
fn without_a_cache_memory_counts() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.write(0x320, 0);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    lab.put(flow.bucket(), &flow);
    lab.expect_forward(&flow.frame(b"x"));
    lab.set_ib1(flow.bucket(), 0);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
}

#[test]
fn misses_build_unbound_entries() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.write(0x21c, TB_CFG_BUILD);
    lab.engine.set_time(0x3_05);
    let frame = flow.frame(b"x");
    lab.expect_cpu(&frame, CpuReason::UnHit);
    let index = flow.bucket();
    assert_eq!(lab.ib1(index), 1 << 30 | 1 << 28 | 1 << 8 | 0x05);
    let mut words = [0; 12];
    lab.memory.read(lab.addr(index) + 4, &mut words).unwrap();
    assert_eq!(words, flow.entry()[4..16]);
    for _ in 0..29 {
        lab.expect_cpu(&frame, CpuReason::HitUnbind);
    }
    lab.expect_cpu(&frame, CpuReason::HitUnbindRateReached);
    assert_eq!(lab.ib1(index) >> 8 & 0x7fff, 31);
    // The count begins anew in the next second.
    lab.engine.set_time(0x3_06);
    lab.expect_cpu(&frame, CpuReason::HitUnbind);
    assert_eq!(lab.ib1(index) & 0xff, 0x06);
    // The driver binds the flow.
    lab.bind(&flow);
    lab.expect_forward(&frame);
    assert_eq!(lab.engine.ppes()[0].stats().built, 1);
}

#[test]
fn building_takes_only_free_ways() {
    let flow = Flow::v6(true);
    let mut lab = Lab::new();
    lab.write(0x21c, TB_CFG_BUILD);
    let first = flow.bucket();
    lab.put(first, &Flow::v4(true));
    lab.set_ib1(first + 1, 1 << 31); // static and free: not for the PPE
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    assert_eq!(lab.ib1(first + 1), 1 << 31);
    assert_eq!(lab.ib1(first + 2), 1 << 30 | 1 << 28 | 5 << 23 | 1 << 8);
    for way in 0..4 {
        lab.put(first + way, &Flow::v4(true));
    }
    lab.clear_cache();
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    assert_eq!(lab.engine.ppes()[0].stats().built, 1);
}

/// The packet counter of an unbound entry saturates and leaves the type alone.
#[test]
fn the_unbound_packet_counter_saturates() {
    let flow = Flow::v6(true);
    let mut lab = Lab::new();
    lab.write(0x21c, TB_CFG_BUILD);
    lab.write(0x228, 0xffff);
    let frame = flow.frame(b"x");
    lab.expect_cpu(&frame, CpuReason::UnHit);
    for _ in 0..0x8100 {
        lab.expect_cpu(&frame, CpuReason::HitUnbind);
    }
    let ib1 = 1 << 30 | 1 << 28 | 5 << 23 | 0x7fff << 8;
    assert_eq!(lab.ib1(flow.bucket()), ib1);
}

#[test]
fn forward_only_builds_nothing_and_drop_drops() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
    assert_eq!(lab.ib1(flow.bucket()), 0);
    lab.write(0x21c, TB_CFG & !(3 << 4));
    assert_eq!(lab.process(&flow.frame(b"x")).0, Verdict::Drop);
}
