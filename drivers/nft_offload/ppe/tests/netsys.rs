// SPDX-License-Identifier: GPL-2.0-only

//! NETSYS entries.

use super::super::format::Kind;
use super::*;

/// The IPv4 flow of the first vectors.
fn v4_flow(l4: L4) -> Flow {
    flow(
        l4,
        Tuple::V4 {
            src: [192, 168, 1, 10],
            dst: [198, 51, 100, 7],
            sport: 40000,
            dport: 443,
        },
    )
}

/// An IPv6 tuple by its 16-bit groups.
fn v6_tuple(src: [u16; 8], dst: [u16; 8], sport: u16, dport: u16) -> Tuple {
    let address = |groups: [u16; 8]| {
        let mut address = [0; 16];
        for (bytes, group) in address.chunks_mut(2).zip(groups) {
            bytes.copy_from_slice(&group.to_be_bytes());
        }
        address
    };
    Tuple::V6 {
        src: address(src),
        dst: address(dst),
        sport,
        dport,
    }
}

/// An IPv6 flow with zeros in its addresses.
fn v6_flow() -> Flow {
    let src = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10];
    let dst = [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x99];
    flow(L4::Udp, v6_tuple(src, dst, 5000, 53))
}

/// What becomes of the tuple of [`v4_flow`] by source NAT.
fn translated() -> Tuple {
    Tuple::V4 {
        src: [203, 0, 113, 5],
        dst: [198, 51, 100, 7],
        sport: 50123,
        dport: 443,
    }
}

/// A translated flow that leaves with a tag and in a PPPoE session.
fn in_a_session() -> Flow {
    let tuple = |a, b| Tuple::V4 {
        src: [10, 0, 0, a],
        dst: [10, 0, 0, b],
        sport: a.into(),
        dport: b.into(),
    };
    Flow {
        new: tuple(3, 4),
        out_encap: Encap {
            vlan: [Some(100), None],
            pppoe: Some(513),
        },
        ..flow(L4::Tcp, tuple(1, 2))
    }
}

/// All formats: bytes of an entry, ways, bits of the timestamp.
static FORMATS: [(&Netsys, usize, u16, u32); 5] = [
    (&NETSYS_V1, 80, 2, 15),
    (&NETSYS_V1_BOUNDARY, 80, 2, 15),
    (&NETSYS_V1_COUNTED, 80, 2, 15),
    (&NETSYS_V2, 96, 4, 8),
    (&NETSYS_V3, 128, 4, 8),
];

fn check(flow: &Flow, timestamp: u16, slot: u16, words: &[u32]) {
    check_in(&NETSYS_V2, flow, timestamp, slot, words);
    // The same in longer entries.
    check_in(&NETSYS_V3, flow, timestamp, slot, words);
}

fn check_in(format: &Netsys, flow: &Flow, timestamp: u16, slot: u16, words: &[u32]) {
    let entry = format.encode(flow, timestamp).unwrap();
    let mut expected = vec![0; format.entry_words()];
    expected[..words.len()].copy_from_slice(words);
    assert_eq!(
        entry.words(),
        expected,
        "\n got {:08x?}\nwant {:08x?}",
        entry.words(),
        expected
    );
    assert_eq!(format.bucket(flow, 16384), slot);
}

#[test]
fn sizes() {
    for (format, bytes, ways, bits) in FORMATS {
        assert_eq!(format.entry_words() * 4, bytes);
        assert_eq!(format.ways(), ways);
        assert_eq!(format.timestamp_bits(), bits);
    }
}

#[test]
fn entries_across_a_boundary() {
    let skipped = |format: &Netsys, slots| -> Vec<_> {
        (0..slots).filter(|slot| !format.usable(*slot)).collect()
    };
    let first = [12, 25, 38, 51, 76, 89, 102, 115];
    assert_eq!(skipped(&NETSYS_V1_BOUNDARY, 128), first);
    let all = skipped(&NETSYS_V1_BOUNDARY, 16384);
    assert_eq!(all.len(), 128 * 8);
    assert!(all.iter().all(|slot| first.contains(&(slot % 128))));
    for slot in 0..16384_u16 {
        let from = u32::from(slot) * 80;
        let to = from + 79;
        let across = (from..to).any(|byte| byte / 1024 != (byte + 1) / 1024);
        assert_eq!(all.contains(&slot), across, "{slot}");
    }
    for (format, ..) in FORMATS {
        if !core::ptr::eq(format, &NETSYS_V1_BOUNDARY) {
            assert_eq!(skipped(format, 16384), []);
        }
    }
}

#[test]
fn entries_of_v1() {
    let mut f = v4_flow(L4::Tcp);
    f.new = translated();
    f.egress.port = PsePort(2);
    for (format, ib2) in [
        (&NETSYS_V1, 0x007f_f051),
        (&NETSYS_V1_BOUNDARY, 0x007f_f051),
        (&NETSYS_V1_COUNTED, 0x007c_0451),
    ] {
        #[rustfmt::skip]
        check_in(format, &f, 0xfabc, 11090, &[
            0x2140_7abc,
            0xc0a8_010a, 0xc633_6407, 0x9c40_01bb,
            ib2,
            0xcb00_7105, 0xc633_6407, 0xc3cb_01bb,
            0, 0, 0,
            0x0800_0000, 0x0a1b_2c3d, 0x4e5f_0000, 0x0200_00aa, 0xbbcc_0000,
        ]);
    }

    let mut f = v6_flow();
    f.egress.port = PsePort(7);
    f.out_encap.vlan = [Some(7), Some(4094)];
    #[rustfmt::skip]
    check_in(&NETSYS_V1_COUNTED, &f, 1, 1044, &[
        0x6b52_0001,
        0x2001_0db8, 0, 0, 0x0000_0010,
        0x2001_0db8, 0xffff_0000, 0, 0x0000_0099,
        0x1388_0035,
        0, 0, 0, 0,
        0x007c_04f6,
        0x86dd_0007, 0x0a1b_2c3d, 0x4e5f_0ffe, 0x0200_00aa, 0xbbcc_0000,
    ]);

    let f = in_a_session();
    #[rustfmt::skip]
    check_in(&NETSYS_V1, &f, 9, 1556, &[
        0x2159_0009,
        0x0a00_0001, 0x0a00_0002, 0x0001_0002,
        0x007f_f030,
        0x0a00_0003, 0x0a00_0004, 0x0003_0004,
        0, 0, 0,
        0x8864_0064, 0x0a1b_2c3d, 0x4e5f_0000, 0x0200_00aa, 0xbbcc_0201,
    ]);
}

#[test]
fn entries_with_a_special_tag() {
    let with = |format: &Netsys, vlan, pppoe| {
        let mut f = v4_flow(L4::Tcp);
        f.egress.dsa = dsa(3);
        f.out_encap = Encap { vlan, pppoe };
        let entry = format.encode(&f, 0).unwrap();
        let w = |at| entry.words()[at];
        let decoded = format.decode(entry.words());
        assert_eq!((decoded.dsa, decoded.pppoe), (Some(3), pppoe));
        [w(0), w(4), w(11), w(13) & 0xffff, w(15) & 0xffff]
    };
    let none = [None; 2];
    let one = [Some(100), None];
    let two = [Some(100), Some(200)];
    let (v1, v2, v3) = (&NETSYS_V1, &NETSYS_V2, &NETSYS_V3);
    #[rustfmt::skip]
    let cases = [
        (v2, none, None, [0x2050_4000, 0x00f0_8306, 0x0008_0000, 0, 0]),
        (v3, one, None, [0x2050_4000, 0x00f0_8306, 0x0108_0064, 0, 0]),
        (v2, two, None, [0x2050_8000, 0x00f0_8306, 0x0108_0064, 200, 0]),
        (v2, none, Some(9), [0x2052_4000, 0x00f0_8306, 0x0008_0000, 0, 9]),
        (v1, one, Some(9), [0x2149_0000, 0x007f_f036, 0x0108_0064, 0, 9]),
    ];
    for (format, vlan, pppoe, want) in cases {
        assert_eq!(with(format, vlan, pppoe), want);
    }
    let mut f = v4_flow(L4::Tcp);
    for port in [6, 8, 255] {
        f.egress.dsa = dsa(port);
        assert_eq!(NETSYS_V2.encode(&f, 0), Err(Reject::Dsa));
    }
}

#[test]
fn entry_of_source_nat() {
    let mut f = v4_flow(L4::Tcp);
    f.new = translated();
    f.egress.port = PsePort(2);
    #[rustfmt::skip]
    check(&f, 171, 5796, &[
        0x2050_00ab,
        0xc0a8_010a, 0xc633_6407, 0x9c40_01bb,
        0x00f0_8501,
        0xcb00_7105, 0xc633_6407, 0xc3cb_01bb,
        0, 0, 0,
        0x0800_0000, 0x0a1b_2c3d, 0x4e5f_0000, 0x0200_00aa, 0xbbcc_0000,
    ]);
}

#[test]
fn entry_of_a_routed_udp_flow() {
    #[rustfmt::skip]
    check(&v4_flow(L4::Udp), 3, 5796, &[
        0x6050_0003,
        0xc0a8_010a, 0xc633_6407, 0x9c40_01bb,
        0x00f0_8300,
        0xc0a8_010a, 0xc633_6407, 0x9c40_01bb,
        0, 0, 0,
        0x0800_0000, 0x0a1b_2c3d, 0x4e5f_0000, 0x0200_00aa, 0xbbcc_0000,
    ]);
}

#[test]
fn entry_of_ipv6() {
    let mut f = v6_flow();
    f.egress.port = PsePort(15);
    // The clock is wider than the field.
    #[rustfmt::skip]
    check(&f, 0xa5ff, 2088, &[
        0x62d0_00ff,
        0x2001_0db8, 0, 0, 0x0000_0010,
        0x2001_0db8, 0xffff_0000, 0, 0x0000_0099,
        0x1388_0035,
        0, 0, 0, 0,
        0x00f0_9f0e,
        0x86dd_0000, 0x0a1b_2c3d, 0x4e5f_0000, 0x0200_00aa, 0xbbcc_0000,
    ]);
}

#[test]
fn entry_with_two_tags() {
    let tuple = v6_tuple(
        [0x2001, 0xdb8, 1, 2, 3, 4, 5, 6],
        [0x2001, 0xdb8, 7, 8, 9, 0xa, 0xb, 0xc],
        5000,
        53,
    );
    let mut f = flow(L4::Tcp, tuple);
    f.egress.port = PsePort(2);
    f.out_encap.vlan = [Some(7), Some(4094)];
    #[rustfmt::skip]
    check(&f, 0, 6768, &[
        0x22d4_8000,
        0x2001_0db8, 0x0001_0002, 0x0003_0004, 0x0005_0006,
        0x2001_0db8, 0x0007_0008, 0x0009_000a, 0x000b_000c,
        0x1388_0035,
        0, 0, 0, 0,
        0x00f0_8501,
        0x86dd_0007, 0x0a1b_2c3d, 0x4e5f_0ffe, 0x0200_00aa, 0xbbcc_0000,
    ]);
}

#[test]
fn entry_with_tag_and_session() {
    let mut f = in_a_session();
    f.egress.port = PsePort(2);
    #[rustfmt::skip]
    check(&f, 9, 3112, &[
        0x2056_4009,
        0x0a00_0001, 0x0a00_0002, 0x0001_0002,
        0x00f0_8501,
        0x0a00_0003, 0x0a00_0004, 0x0003_0004,
        0, 0, 0,
        0x8864_0064, 0x0a1b_2c3d, 0x4e5f_0000, 0x0200_00aa, 0xbbcc_0201,
    ]);
}

#[test]
fn entries_that_cannot_be() {
    let mut f = v4_flow(L4::Tcp);
    for port in [0, 16, 255] {
        f.egress.port = PsePort(port);
        assert_eq!(NETSYS_V2.encode(&f, 0), Err(Reject::ForeignEgress));
    }
    let mut f = v4_flow(L4::Tcp);
    f.new = v6_tuple([1; 8], [2; 8], 1, 2);
    assert_eq!(NETSYS_V2.encode(&f, 0), Err(Reject::MixedFamily));
    f.tuple = v6_tuple([1; 8], [2; 8], 1, 3);
    assert_eq!(NETSYS_V2.encode(&f, 0), Err(Reject::Nat66));
}

/// The formula bit by bit: with S, D and P the words for source, destination and ports,
/// bit i of the first sum is D's where P's is set and S's where not.
fn slow_hash(p: u32, d: u32, s: u32) -> u64 {
    let bit = |x: u64, i: u32| (x >> (i % 32)) & 1;
    let (p, d, s) = (u64::from(p), u64::from(d), u64::from(s));
    let mut chosen = 0;
    for i in 0..32 {
        let b = if bit(p, i) == 1 { bit(d, i) } else { bit(s, i) };
        chosen |= b << i;
    }
    // Byte 3 moves to byte 0, the others one up.
    let mut mixed = 0;
    for i in 0..32 {
        let b = bit(chosen, i + 24) ^ bit(p, i) ^ bit(d, i) ^ bit(s, i);
        mixed |= b << i;
    }
    (mixed % 65536) ^ (mixed / 65536) ^ (mixed / 65536 * 65536)
}

#[test]
fn hash_worked_out_by_hand() {
    // ports = dst = all ones, src = ffffffff: chosen = fffffffe, turned = fffffeff,
    // xor (ffffffff ^ fffffffe ^ ffffffff) = 00000101, xor its upper half = 0101;
    // times 4 ways = 0404.
    let f = flow(
        L4::Tcp,
        Tuple::V4 {
            src: [255; 4],
            dst: [255, 255, 255, 254],
            sport: 65535,
            dport: 65535,
        },
    );
    assert_eq!(NETSYS_V2.bucket(&f, 16384), 0x404);
    // All zero: nothing to mix.
    let f = flow(L4::Tcp, Tuple::ZERO);
    assert_eq!(NETSYS_V2.bucket(&f, 16384), 0);
}

#[test]
fn states_and_timestamps() {
    let f = v4_flow(L4::Udp);
    let word0 = NETSYS_V2.encode(&f, 0x1234).unwrap().word0();
    assert!(NETSYS_V2.is_bound(word0));
    assert_eq!(NETSYS_V2.timestamp(word0), 0x34);
    assert_eq!(NETSYS_V2.timestamp_bits(), 8);
    for (bits, state) in [
        (0, State::Invalid),
        (1, State::Unbound),
        (2, State::Bound),
        (3, State::Fin),
    ] {
        let word0 = (word0 & !(3 << 28)) | (bits << 28);
        assert_eq!(NETSYS_V2.state(word0), state);
        assert_eq!(NETSYS_V2.is_bound(word0), state == State::Bound);
        assert_eq!(NETSYS_V2.timestamp(word0), 0x34);
    }
}

#[test]
fn lines_as_users_know_them() {
    let mut f = v4_flow(L4::Tcp);
    f.out_encap.vlan = [None; 2];
    f.new = translated();
    let entry = NETSYS_V2.encode(&f, 0xab).unwrap();
    let line = NETSYS_V2.decode(entry.words()).line(0x2dd0, 12, 3456);
    assert_eq!(
        line.to_string(),
        "02dd0 BND IPv4 5T orig=192.168.1.10:40000->198.51.100.7:443 \
         new=203.0.113.5:50123->198.51.100.7:443 \
         eth=02:00:00:aa:bb:cc->0a:1b:2c:3d:4e:5f etype=0008 vlan=0,0 \
         ib1=205000ab ib2=00f08300 packets=12 bytes=3456"
    );
    let f = flow(
        L4::Udp,
        v6_tuple(
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1],
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2],
            1,
            2,
        ),
    );
    let entry = NETSYS_V2.encode(&f, 1).unwrap();
    let line = NETSYS_V2.decode(entry.words()).line(3, 0, 0).to_string();
    assert!(line.starts_with("00003 BND IPv6 5T orig=[2001:db8::1]:1->[2001:db8::2]:2 eth="));
    assert!(line.contains(" etype=dd86 "));
}

#[test]
fn entries_have_fixed_length() {
    let mut entry = Entry::new(100);
    assert_eq!(entry.words().len(), MAX_WORDS);
    entry.set(MAX_WORDS, 1);
    assert!(entry.words().iter().all(|w| *w == 0));
    let mut entry = Entry::new(2);
    entry.set(0, 5);
    entry.set(1, 6);
    entry.set(2, 7);
    assert_eq!((entry.word0(), entry.body()), (5, &[6][..]));
    assert_eq!(Entry::new(0).word0(), 0);
    assert_eq!(Entry::new(0).body(), &[]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    /// What is encoded is what is decoded.
    #[test]
    fn round_trip(
        c in connection(),
        dir in 0..2_usize,
        port in 1..16_u8,
        now in any::<u16>(),
        (format, bytes, _, bits) in proptest::sample::select(&FORMATS[..]),
    ) {
        let mut f = c.flow(dir);
        // NETSYS v1 has three bits for it.
        f.egress.port = PsePort(if bytes == 80 { (port - 1) % 7 + 1 } else { port });
        let entry = match format.encode(&f, now) {
            Ok(entry) => entry,
            Err(reject) => {
                prop_assert!(f.tuple.is_v6() && f.is_nat());
                prop_assert_eq!(reject, Reject::Nat66);
                return Ok(());
            }
        };
        prop_assert_eq!(entry.words().len() * 4, bytes);
        let d = format.decode(entry.words());
        prop_assert_eq!(d.state, State::Bound);
        prop_assert_eq!(d.kind, if f.tuple.is_v6() { Kind::V6Route5 } else { Kind::V4Napt });
        prop_assert_eq!(d.l4, f.l4);
        prop_assert_eq!(d.orig, Some(f.tuple));
        prop_assert_eq!(d.new, (!f.tuple.is_v6()).then_some(f.new));
        prop_assert_eq!((d.smac, d.dmac), (f.smac, f.dmac));
        prop_assert_eq!(d.vlan, f.out_encap.vlan.map(|vid| vid.unwrap_or(0)));
        prop_assert_eq!(d.vlan_layers, f.out_encap.tags().max(f.egress.dsa.is_some().into()));
        prop_assert_eq!(d.dsa, f.egress.dsa.map(|dsa| dsa.number));
        prop_assert_eq!(d.pppoe, f.out_encap.pppoe);
        prop_assert_eq!(d.egress, f.egress.port);
        prop_assert_eq!(u32::from(d.timestamp), u32::from(now) % (1 << bits));
        prop_assert!(format.same_key(entry.words(), &f));
        prop_assert!(format.same_key(&entry.words()[..format.key_words()], &f));
    }

    /// Flows with different keys are told apart.
    #[test]
    fn keys_differ(a in tuple(), b in tuple(), udp in any::<bool>()) {
        let f = flow(L4::Tcp, a);
        let entry = NETSYS_V2.encode(&f, 0).unwrap();
        let other = flow(if udp { L4::Udp } else { L4::Tcp }, b);
        prop_assert_eq!(NETSYS_V2.same_key(entry.words(), &other), f.same_key(&other));
        let other = flow(L4::Udp, a);
        prop_assert!(!NETSYS_V2.same_key(entry.words(), &other));
    }

    /// The hash is the formula's, for any size of table, and a bucket is a whole one.
    #[test]
    fn hash_of_any_tuple(
        t in tuple(),
        log in 2..16_u32,
        (format, _, ways, _) in proptest::sample::select(&FORMATS[..]),
    ) {
        let w = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let (sport, dport) = t.ports();
        let ports = (u32::from(sport) << 16) | u32::from(dport);
        let (p, d, s) = match t {
            Tuple::V4 { src, dst, .. } => (ports, w(&dst), w(&src)),
            Tuple::V6 { src: s, dst: d, .. } => (
                w(&s[12..]) ^ w(&d[12..]) ^ ports,
                w(&s[8..12]) ^ w(&d[8..12]) ^ w(&d[..4]),
                w(&s[4..8]) ^ w(&d[4..8]) ^ w(&s[..4]),
            ),
        };
        let slot = format.bucket(&flow(L4::Tcp, t), 1 << log);
        prop_assert_eq!(u64::from(slot), slow_hash(p, d, s) * u64::from(ways) % (1 << log));
    }

    /// Any words can be decoded and shown, however few or many.
    #[test]
    fn any_words(words in proptest::collection::vec(any::<u32>(), 0..40), t in tuple()) {
        for (format, ..) in FORMATS {
            let d = format.decode(&words);
            let _ = d.line(0, u64::MAX, u64::MAX).to_string();
            let _ = format.same_key(&words, &flow(L4::Tcp, t));
        }
    }

    /// The slots of a bucket are those of its ways that can be used.
    #[test]
    fn slots_of_a_bucket(t in tuple(), log in 2..15_u32) {
        for (format, ..) in FORMATS {
            let f = flow(L4::Tcp, t);
            let first = format.bucket(&f, 1 << log);
            let ways = first..first + format.ways();
            let usable: Vec<_> = ways.filter(|slot| format.usable(*slot)).collect();
            prop_assert!(!usable.is_empty());
            prop_assert_eq!(format.slots(&f, 1 << log).collect::<Vec<_>>(), usable);
        }
    }
}

#[test]
fn the_bits_of_bound_entries_say_what_the_state_says() {
    for format in [&NETSYS_V1, &NETSYS_V2, &NETSYS_V3] {
        let (mask, bits) = format.bound_bits();
        for state in 0..16_u32 {
            let word0 = (state << 28) | 0x0765_4321;
            assert_eq!(word0 & mask == bits, format.is_bound(word0), "{word0:#x}");
        }
    }
}
