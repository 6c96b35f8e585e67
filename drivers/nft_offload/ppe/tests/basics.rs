// SPDX-License-Identifier: GPL-2.0-only

//! Flows, reject reasons, capabilities, bit fields.

use std::{
    collections::HashSet,
    format, //
};

use super::super::bits::*;
use super::*;

#[test]
fn tuples_are_read_as_they_are_shown() {
    for tuple in [v4(1, 1234, 7, 80), v6(1, 1, 7, 65535)] {
        let shown = tuple.to_string();
        let (src, dst) = shown.split_once("->").unwrap();
        assert_eq!(Tuple::parse(src, dst), Some(tuple));
    }
    for (src, dst) in [
        ("192.0.2.1:1", "[2001:db8::1]:1"),
        ("192.0.2.1", "192.0.2.2:1"),
        ("192.0.2.1:65536", "192.0.2.2:1"),
        ("2001:db8::1:1", "[2001:db8::2]:1"),
        ("", ""),
    ] {
        assert_eq!(Tuple::parse(src, dst), None, "{src} {dst}");
    }
    for l4 in [L4::Tcp, L4::Udp] {
        assert_eq!(L4::parse(&l4.to_string()), Some(l4));
    }
    assert_eq!(L4::parse("TCP"), None);
}

#[test]
fn tuples_are_shown_as_people_write_them() {
    assert_eq!(
        v4(1, 1234, 7, 80).to_string(),
        "192.168.1.1:1234->198.51.100.7:80"
    );
    assert_eq!(
        v6(1, 1234, 7, 80).to_string(),
        "[2001:db8:1::1]:1234->[2001:db8:2::7]:80"
    );
    assert_eq!(
        Mac([2, 0, 0, 0xaa, 0xbb, 0x0c]).to_string(),
        "02:00:00:aa:bb:0c"
    );
    let mut f = flow(L4::Udp, v4(1, 2, 3, 4));
    assert_eq!(
        f.to_string(),
        "udp 192.168.1.1:2->198.51.100.3:4 port 2->1 \
         eth 02:00:00:aa:bb:cc->0a:1b:2c:3d:4e:5f"
    );
    f.new = v4(9, 2, 3, 4);
    assert!(f
        .to_string()
        .contains(" new 192.168.1.9:2->198.51.100.3:4 "));
}

#[test]
fn groups_are_told_from_hosts() {
    let to = |dst| Tuple::V4 {
        src: [10, 0, 0, 1],
        dst,
        sport: 1,
        dport: 1,
    };
    assert!(to([224, 0, 0, 1]).is_multicast());
    assert!(to([239, 255, 255, 255]).is_multicast());
    assert!(to([255; 4]).is_multicast());
    assert!(!to([223, 255, 255, 255]).is_multicast());
    assert!(!to([240, 0, 0, 1]).is_multicast());
    assert!(!v6(1, 1, 1, 1).is_multicast());
    let mut dst = [0; 16];
    dst[0] = 0xff;
    let src = [0; 16];
    let (sport, dport) = (1, 1);
    assert!(Tuple::V6 {
        src,
        dst,
        sport,
        dport
    }
    .is_multicast());
}

#[test]
fn encapsulation_lengths() {
    let mut encap = Encap::NONE;
    assert_eq!((encap.tags(), encap.headers(), encap.len()), (0, 0, 0));
    assert!(encap.is_empty());
    assert!(encap.push_vlan(7));
    assert_eq!((encap.tags(), encap.headers(), encap.len()), (1, 1, 4));
    encap.pppoe = Some(1);
    assert_eq!((encap.tags(), encap.headers(), encap.len()), (1, 2, 12));
    assert!(encap.push_vlan(8));
    assert!(!encap.push_vlan(9));
    assert_eq!(encap.vlan, [Some(7), Some(8)]);
    assert_eq!((encap.tags(), encap.headers(), encap.len()), (2, 3, 16));
    assert!(!encap.is_empty());
}

#[test]
fn reject_names_are_unique_and_stable() {
    let names: HashSet<_> = Reject::ALL.iter().map(|r| r.name()).collect();
    assert_eq!(names.len(), Reject::COUNT);
    for (index, reject) in Reject::ALL.iter().enumerate() {
        assert_eq!(reject.index(), index);
        assert_eq!(Reject::from_name(reject.name()), Some(*reject));
        assert!(reject
            .name()
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        let message = reject.message().to_str().unwrap();
        let (name, text) = message.split_once(": ").unwrap();
        assert_eq!(name, reject.name());
        assert!(text.ends_with('.') && text.len() > 40, "{text}");
    }
    for name in [
        "nat66",
        "vlan-8021ad",
        "foreign-ingress",
        "foreign-egress",
        "bucket-full",
        "key-in-use",
        "engine-dead",
    ] {
        assert!(Reject::from_name(name).is_some(), "{name}");
    }
    assert_eq!(Reject::from_name("no-such"), None);
    let room: HashSet<_> = Reject::ALL
        .iter()
        .filter(|r| r.errno_class() == ErrnoClass::NoSpace)
        .collect();
    assert_eq!(
        room,
        HashSet::from([&Reject::BucketFull, &Reject::TableFull])
    );
    assert_eq!(format!("{:>8}|", Reject::Nat66), "   nat66|");
}

#[test]
fn chips_take_what_they_can_do() {
    let ok = flow(L4::Tcp, v4(1, 2, 3, 4));
    assert_eq!(admit(&ok, &CAPS), Ok(()));
    assert_eq!(admit(&ok, &Caps::NONE), Err(Reject::Family));

    let mut f = ok;
    f.new = v6(1, 2, 3, 4);
    assert_eq!(admit(&f, &CAPS), Err(Reject::MixedFamily));

    let mut f = ok;
    f.new = v4(1, 2, 3, 5);
    assert_eq!(admit(&f, &CAPS), Ok(()));
    let caps = Caps {
        nat44: false,
        ..CAPS
    };
    assert_eq!(admit(&f, &caps), Err(Reject::Nat44));
    assert_eq!(admit(&ok, &caps), Ok(()));

    let mut f = flow(L4::Tcp, v6(1, 2, 3, 4));
    assert_eq!(admit(&f, &CAPS), Ok(()));
    let caps = Caps {
        ipv6: false,
        ..CAPS
    };
    assert_eq!(admit(&f, &caps), Err(Reject::Family));
    f.new = v6(1, 2, 3, 5);
    assert_eq!(admit(&f, &CAPS), Err(Reject::Nat66));
    let caps = Caps {
        nat66: true,
        ..CAPS
    };
    assert_eq!(admit(&f, &caps), Ok(()));

    let mut f = ok;
    f.routed = false;
    assert_eq!(admit(&f, &CAPS), Ok(()));
    let caps = Caps {
        bridge: false,
        ..CAPS
    };
    assert_eq!(admit(&f, &caps), Err(Reject::Layer2));
    assert_eq!(admit(&ok, &caps), Ok(()));

    let mut f = ok;
    f.egress = f.ingress;
    assert_eq!(admit(&f, &CAPS), Err(Reject::Hairpin));
    // From one port of a switch to another of its ports.
    (f.ingress.dsa, f.egress.dsa) = (dsa(1), dsa(2));
    assert_eq!(admit(&f, &CAPS), Err(Reject::Hairpin));
    let caps = Caps {
        hairpin: true,
        ..CAPS
    };
    assert_eq!(admit(&f, &caps), Ok(()));
}

#[test]
fn chips_know_switches_by_their_tags() {
    let check = |port, caps: &Caps| {
        let mut flows = [flow(L4::Tcp, v4(1, 2, 3, 4)); 2];
        flows[0].ingress.dsa = port;
        flows[1].egress.dsa = port;
        let [ingress, egress] = flows.map(|flow| admit(&flow, caps));
        assert_eq!(ingress, egress);
        egress
    };
    let none = Caps { dsa: None, ..CAPS };
    let other = Some(DsaPort {
        tag: DsaTag(DSA_TAG.0 + 1),
        number: 0,
    });
    assert_eq!(check(None, &none), Ok(()));
    assert_eq!(check(dsa(0), &none), Err(Reject::Dsa));
    assert_eq!(check(dsa(0), &CAPS), Ok(()));
    assert_eq!(check(dsa(5), &CAPS), Ok(()));
    assert_eq!(check(dsa(6), &CAPS), Err(Reject::Dsa));
    assert_eq!(check(dsa(u8::MAX), &CAPS), Err(Reject::Dsa));
    assert_eq!(check(other, &CAPS), Err(Reject::DsaTag));
}

#[test]
fn chips_take_as_many_headers_as_they_can() {
    let caps = |vlan_tags, pppoe, headers| Caps {
        vlan_tags,
        pppoe,
        headers,
        ..CAPS
    };
    let encap = |vlan, pppoe| Encap { vlan, pppoe };
    let one = encap([Some(1), None], None);
    let two = encap([Some(1), Some(2)], None);
    let session = encap([None; 2], Some(3));
    let all = encap([Some(1), Some(2)], Some(3));
    let check = |in_encap, out_encap, caps: Caps| {
        let mut f = flow(L4::Tcp, v4(1, 2, 3, 4));
        f.in_encap = in_encap;
        f.out_encap = out_encap;
        admit(&f, &caps)
    };
    let none = Encap::NONE;
    assert_eq!(check(one, none, caps(0, true, 2)), Err(Reject::Vlan));
    assert_eq!(check(none, one, caps(0, true, 2)), Err(Reject::Vlan));
    assert_eq!(check(none, one, caps(1, true, 2)), Ok(()));
    assert_eq!(check(two, none, caps(1, true, 2)), Err(Reject::VlanDepth));
    assert_eq!(check(none, two, caps(1, true, 2)), Err(Reject::VlanDepth));
    assert_eq!(check(none, two, caps(2, true, 2)), Ok(()));
    assert_eq!(check(none, session, caps(2, false, 2)), Err(Reject::Pppoe));
    assert_eq!(check(session, none, caps(2, false, 2)), Err(Reject::Pppoe));
    assert_eq!(check(none, session, caps(2, true, 2)), Ok(()));
    assert_eq!(check(none, all, caps(2, true, 2)), Err(Reject::VlanDepth));
    assert_eq!(check(none, all, caps(2, true, 3)), Ok(()));
    assert_eq!(check(all, none, caps(2, true, 2)), Ok(()));
}

#[test]
fn counters_become_layer_3() {
    let raw = Count {
        packets: 10,
        bytes: 10_000,
    };
    let mut tagged = Encap::NONE;
    tagged.push_vlan(1);
    tagged.pppoe = Some(1);
    let bytes = |unit: MibUnit, encap| {
        let count = unit.layer3(raw, encap);
        assert_eq!(count.packets, 10);
        count.bytes
    };
    assert_eq!(bytes(MibUnit::Layer3, &tagged), 10_000);
    let unit = MibUnit::Layer2 { fcs: false };
    assert_eq!(bytes(unit, &Encap::NONE), 10_000 - 10 * 14);
    assert_eq!(bytes(unit, &tagged), 10_000 - 10 * (14 + 4 + 8));
    let unit = MibUnit::Layer2 { fcs: true };
    assert_eq!(bytes(unit, &Encap::NONE), 10_000 - 10 * 18);
    let odd = Count {
        packets: u64::MAX,
        bytes: 5,
    };
    assert_eq!(unit.layer3(odd, &tagged).bytes, 0);
}

#[test]
fn bit_fields() {
    assert_eq!(genmask(31, 0), u32::MAX);
    assert_eq!(genmask(16, 14), 0x0001_c000);
    assert_eq!(genmask(31, 31), 0x8000_0000);
    let field = Field::new(16, 14);
    assert_eq!((field.max(), field.width()), (7, 3));
    assert_eq!(field.put(5), 0x0001_4000);
    assert_eq!(field.put(13), 0x0001_4000);
    assert_eq!(field.get(0xffff_7fff), 5);
    assert_eq!(Field::bit(20).put(1), 1 << 20);
    assert_eq!(upper(0x1234_5678), 0x1234);
    assert_eq!(lower(0x1234_5678), 0x5678);
    assert_eq!(word(0x1234, 0x5678), 0x1234_5678);
    assert_eq!(PsePort(3).to_string(), "3");
    assert_eq!(L4::from_ip_proto(L4::Udp.ip_proto()), Some(L4::Udp));
    assert_eq!(L4::from_ip_proto(47), None);
}
