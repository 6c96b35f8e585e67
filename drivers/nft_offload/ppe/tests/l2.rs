// SPDX-License-Identifier: GPL-2.0-only

//! Bridged flows: rules, what is seen of connections, and subflows.

mod subflows;

use super::super::l2::detect::*;
use super::super::l2::filter::*;
use super::super::l2::{
    filters::{
        Record,
        *, //
    },
    frame,
    Key,
    Sighting, //
};
use super::*;

const LAN: PsePort = PsePort(1);
const WAN: PsePort = PsePort(2);
const HERE: [u8; 6] = [2, 0, 0, 0, 1, 2];
const THERE: [u8; 6] = [2, 0, 0, 0, 2, 2];

fn key() -> Key {
    Key {
        ingress: LAN,
        smac: HERE,
        dmac: THERE,
        vlan: None,
    }
}

fn rule() -> Filter {
    Filter {
        key: key(),
        v6: None,
        l4: None,
        egress: WAN.into(),
        out_encap: Encap::NONE,
    }
}

// What the engine's frames look like.

fn packet(l4: L4, tuple: &Tuple, flags: u8) -> (u16, Vec<u8>) {
    let mut transport = vec![0_u8; 20];
    let (sport, dport) = tuple.ports();
    transport[..2].copy_from_slice(&sport.to_be_bytes());
    transport[2..4].copy_from_slice(&dport.to_be_bytes());
    transport[13] = flags;
    let (ethertype, mut ip) = match *tuple {
        Tuple::V4 { src, dst, .. } => {
            let mut ip = vec![0_u8; 20];
            ip[0] = 0x45;
            ip[6] = 0x40;
            ip[8] = 64;
            ip[9] = l4.ip_proto();
            ip[12..16].copy_from_slice(&src);
            ip[16..].copy_from_slice(&dst);
            (0x0800, ip)
        }
        Tuple::V6 { src, dst, .. } => {
            let mut ip = vec![0_u8; 40];
            ip[0] = 0x60;
            ip[6] = l4.ip_proto();
            ip[8..24].copy_from_slice(&src);
            ip[24..].copy_from_slice(&dst);
            (0x86dd, ip)
        }
    };
    ip.append(&mut transport);
    (ethertype, ip)
}

#[test]
fn packets_are_read() {
    for l4 in [L4::Tcp, L4::Udp] {
        for tuple in [v4(1, 40000, 7, 443), v6(1, 40000, 7, 443)] {
            let (ethertype, bytes) = packet(l4, &tuple, 0x18);
            assert_eq!(frame::parse(ethertype, &bytes), Some((l4, tuple)));
            let head = &bytes[..bytes.len().min(frame::HEAD_LEN)];
            assert_eq!(frame::parse(ethertype, head), Some((l4, tuple)));
            // Too little of it, of the other family, or of none.
            let needed = bytes.len() - 20 + if l4 == L4::Tcp { 14 } else { 4 };
            assert_eq!(frame::parse(ethertype, &bytes[..needed - 1]), None);
            assert!(frame::parse(ethertype, &bytes[..needed]).is_some());
            assert_eq!(frame::parse(ethertype ^ 0x86dd ^ 0x0800, &bytes), None);
            assert_eq!(frame::parse(0x0806, &bytes), None);
        }
    }
}

#[test]
fn what_the_engine_leaves_to_the_cpu_gets_no_entry() {
    let change = |tuple: Tuple, l4, f: fn(&mut [u8])| {
        let (ethertype, mut bytes) = packet(l4, &tuple, 0x10);
        f(&mut bytes);
        frame::parse(ethertype, &bytes)
    };
    let four = v4(1, 2, 3, 4);
    let six = v6(1, 2, 3, 4);
    let none: [fn(&mut [u8]); 5] = [
        |b| b[0] = 0x46,
        |b| b[6] = 0x20,
        |b| b[7] = 1,
        |b| b[9] = 47,
        |b| b[16] = 224,
    ];
    for f in none {
        assert_eq!(change(four, L4::Udp, f), None);
    }
    // Do not fragment is no fragment.
    assert!(change(four, L4::Udp, |b| b[6] = 0x40).is_some());
    let none: [fn(&mut [u8]); 3] = [|b| b[0] = 0x40, |b| b[6] = 0, |b| b[24] = 0xff];
    for f in none {
        assert_eq!(change(six, L4::Udp, f), None);
    }
    for flags in [1, 2, 4, 0x11, 0x12] {
        for tuple in [four, six] {
            let (ethertype, bytes) = packet(L4::Tcp, &tuple, flags);
            assert_eq!(frame::parse(ethertype, &bytes), None, "{flags:x}");
            // In UDP that byte is of the payload.
            let (ethertype, bytes) = packet(L4::Udp, &tuple, flags);
            assert!(frame::parse(ethertype, &bytes).is_some());
        }
    }
}

// Filters.

const FULL: [u8; 6] = [0xff; 6];
const MACS: Match = eth_addrs([HERE, THERE], [FULL; 2]);
const CONTROL: Match = control(AddrType::None, 0);
const ANY: Match = basic(0, 0, 0, 0);

fn tag(id: u16) -> Match {
    Match::Vlan(vlan_key(id))
}

const OUT: Action = redirect(Some(Endpoint {
    port: WAN,
    dsa: None,
}));

fn parse(matches: &[Match], actions: &[Action]) -> Result<Filter, Reject> {
    let mut parser = FilterParser::new();
    matches.iter().for_each(|m| parser.on_match(*m));
    actions.iter().for_each(|a| parser.on_action(*a));
    parser.finish(LAN, endpoint_at)
}

/// What flower makes of `dst_mac … src_mac …`, and more.
fn with(extra: &[Match], actions: &[Action]) -> Result<Filter, Reject> {
    parse(&[&[CONTROL, ANY, MACS], extra].concat(), actions)
}

#[test]
fn a_rule_of_ethernet_addresses_is_taken() {
    assert_eq!(with(&[], &[OUT]), Ok(rule()));
    let foreign = Err(Reject::ForeignIngress);
    for (at, want) in [
        (Some(LAN), Ok(rule())),
        (Some(WAN), foreign),
        (None, foreign),
    ] {
        assert_eq!(with(&[meta(at.map(Endpoint::from))], &[OUT]), want);
    }
    let (port, dsa) = (WAN, dsa(3));
    let egress = Endpoint { port, dsa };
    let to_switch = with(&[], &[redirect(Some(egress))]);
    assert_eq!(to_switch.unwrap().egress, egress);
}

#[test]
fn a_rule_may_be_for_one_protocol() {
    let udp = basic(0x0800, 0xffff, 17, 0xff);
    for (key, want) in [
        (ANY, Ok((None, None))),
        (udp, Ok((Some(false), Some(L4::Udp)))),
        (basic(0x86dd, 0xffff, 0, 0), Ok((Some(true), None))),
        (basic(0x0806, 0xffff, 0, 0), Err(Reject::Family)),
        (basic(0x0800, 0xff00, 0, 0), Err(Reject::Mask)),
        (basic(0, 0, 6, 0x7f), Err(Reject::Mask)),
        (basic(0, 0, 1, 0xff), Err(Reject::Protocol)),
    ] {
        let rule = parse(&[CONTROL, key, MACS], &[OUT]);
        assert_eq!(rule.map(|rule| (rule.v6, rule.l4)), want, "{key:?}");
    }
    let rule = parse(&[CONTROL, udp, MACS], &[OUT]).unwrap();
    assert!(rule.takes(L4::Udp, &v4(1, 2, 3, 4)));
    assert!(!rule.takes(L4::Tcp, &v4(1, 2, 3, 4)));
    assert!(!rule.takes(L4::Udp, &v6(1, 2, 3, 4)));
}

#[test]
fn tags_stay_unless_they_are_taken_off() {
    let (pop, push) = (Action::VlanPop, push_vlan);
    let (ten, twenty) = (Some(10), Some(20));
    for (key, actions, want) in [
        (None, &[][..], Ok([None; 2])),
        (ten, &[], Ok([ten, None])),
        (ten, &[pop], Ok([None; 2])),
        (ten, &[pop, push(20)], Ok([twenty, None])),
        // The one that is put on goes outside.
        (ten, &[push(20)], Ok([twenty, ten])),
        (None, &[push(10), push(20)], Ok([twenty, ten])),
        (None, &[push(10), push(20), pop], Ok([ten, None])),
        (None, &[pop], Err(Reject::Vlan)),
        (ten, &[push(2), push(3)], Err(Reject::VlanDepth)),
        (None, &[push(0x1000)], Err(Reject::Vlan)),
    ] {
        let matches: Vec<_> = key.map(tag).into_iter().collect();
        let rule = with(&matches, &[actions, &[OUT]].concat());
        let vlan = rule.map(|rule| (rule.key.vlan, rule.out_encap.vlan));
        assert_eq!(vlan, want.map(|out| (key, out)), "{key:?} {actions:?}");
    }

    let session = Action::PppoePush { sid: 7 };
    let rule = with(&[], &[session, push(20), OUT]).unwrap();
    assert_eq!(rule.out_encap.pppoe, Some(7));
    assert_eq!(rule.out_encap.vlan, [twenty, None]);
}

#[test]
fn keys_that_no_entry_holds_are_refused() {
    let odd = |f: fn(&mut VlanKey)| {
        let mut key = vlan_key(10);
        f(&mut key);
        Match::Vlan(key)
    };
    let tos = Match::Ip {
        tos: 0,
        tos_mask: 0xff,
        ttl: 0,
        ttl_mask: 0,
    };
    for (keys, want) in [
        (
            &[ipv4_addrs([[0; 4]; 2], [[0xff; 4]; 2])][..],
            Reject::NotBridged,
        ),
        (
            &[ipv6_addrs([[0; 16]; 2], [[0xff; 16]; 2])],
            Reject::NotBridged,
        ),
        (&[port_pair((1, 2), [0xffff; 2])], Reject::NotBridged),
        (&[Match::Tcp { flags: 0, mask: 7 }], Reject::NotBridged),
        (&[tos], Reject::NotBridged),
        (&[control(AddrType::V4, 0)], Reject::NotBridged),
        (&[control(AddrType::None, 1)], Reject::ControlFlags),
        (&[Match::Tunnel], Reject::Tunnel),
        (&[Match::Other { key: 99 }], Reject::UnknownKey),
        (&[tag(10), Match::Cvlan(vlan_key(10))], Reject::VlanDepth),
        (&[odd(|k| k.prio_mask = 7)], Reject::VlanPriority),
        (&[odd(|k| k.tpid = 0x88a8)], Reject::Vlan8021ad),
        (&[odd(|k| k.id_mask = 0xf00)], Reject::Mask),
    ] {
        assert_eq!(with(keys, &[OUT]), Err(want), "{keys:?}");
    }
    assert_eq!(parse(&[CONTROL, ANY], &[OUT]), Err(Reject::NotBridged));

    let part = [0xff, 0xff, 0xff, 0, 0, 0];
    for (addresses, masks, want) in [
        ([HERE, THERE], [FULL; 2], Ok(rule())),
        ([HERE, THERE], [part, FULL], Err(Reject::Mask)),
        ([HERE, THERE], [FULL, [0; 6]], Err(Reject::Mask)),
        ([[0; 6], THERE], [FULL; 2], Err(Reject::BadMac)),
        ([[1; 6], THERE], [FULL; 2], Err(Reject::BadMac)),
        ([HERE, [0; 6]], [FULL; 2], Err(Reject::BadMac)),
        ([HERE, [0xff; 6]], [FULL; 2], Err(Reject::Multicast)),
    ] {
        let parsed = parse(&[CONTROL, ANY, eth_addrs(addresses, masks)], &[OUT]);
        assert_eq!(parsed, want, "{addresses:x?} {masks:x?}");
    }
}

#[test]
fn actions_that_no_entry_does_are_refused() {
    let push = |vid, proto, prio| Action::VlanPush { vid, proto, prio };
    let session = Action::PppoePush { sid: 7 };
    for (actions, want) in [
        (&[][..], Reject::NoRedirect),
        (&[OUT, OUT], Reject::TwoRedirects),
        (&[OUT, push_vlan(1)], Reject::UnknownAction),
        (&[redirect(None)], Reject::ForeignEgress),
        (
            &[mangle(MangleHeader::Eth, 0, [0; 4], [0; 4]), OUT],
            Reject::BadMangle,
        ),
        (&[Action::Csum { flags: 0 }, OUT], Reject::BadMangle),
        (&[Action::Tunnel, OUT], Reject::Tunnel),
        (&[Action::Accept, OUT], Reject::UnknownAction),
        (&[Action::Other { id: 9 }, OUT], Reject::UnknownAction),
        (&[push(1, 0x88a8, 0), OUT], Reject::Vlan8021ad),
        (&[push(1, 0x8100, 3), OUT], Reject::VlanPriority),
        (&[session, session, OUT], Reject::Pppoe),
        (&[push_vlan(20), session, OUT], Reject::Pppoe),
    ] {
        assert_eq!(with(&[], actions), Err(want), "{actions:?}");
    }
}

#[test]
fn a_chip_says_what_it_bridges() {
    let none: fn(&mut Caps) = |_| ();
    let any: fn(&mut Filter) = |_| ();
    for (rule_of, chip, want) in [
        (any, none, Ok(())),
        (any, |c| c.bridge = false, Err(Reject::Layer2)),
        // Half of it is better than nothing, unless the rule is for the other half.
        (any, |c| c.ipv4 = false, Ok(())),
        (
            |f| f.v6 = Some(false),
            |c| c.ipv4 = false,
            Err(Reject::Family),
        ),
        (|f| f.v6 = Some(true), |c| c.ipv4 = false, Ok(())),
        (|f| f.egress = LAN.into(), none, Err(Reject::Hairpin)),
        (
            |f| f.key.vlan = Some(10),
            |c| c.vlan_tags = 0,
            Err(Reject::Vlan),
        ),
    ] {
        let (mut filter, mut caps) = (rule(), CAPS);
        rule_of(&mut filter);
        chip(&mut caps);
        assert_eq!(filter.admit(&caps), want, "{filter:?}");
    }
}

#[test]
fn an_entry_leaves_the_packet_as_it_is() {
    // Bit of "decrement TTL" in word 0, by generation.
    for (format, ttl) in [
        (&NETSYS_V1 as &dyn Format, 24),
        (&NETSYS_V2, 22),
        (&NETSYS_V3, 22),
    ] {
        for tuple in [v4(1, 2, 3, 4), v6(1, 2, 3, 4)] {
            let bridged = rule().flow(L4::Udp, &tuple);
            let mut routed = bridged;
            routed.routed = true;
            let [bridged, routed] = [bridged, routed].map(|flow| format.encode(&flow, 9).unwrap());
            assert_eq!(bridged.word0() ^ routed.word0(), 1 << ttl);
            assert_eq!(bridged.body(), routed.body());
            let decoded = format.decode(bridged.words());
            assert_eq!((decoded.smac, decoded.dmac), (HERE, THERE));
            assert_eq!(decoded.orig, Some(tuple));
            assert!(decoded.new.is_none_or(|new| new == tuple));
            assert_eq!(decoded.egress, WAN);
        }
    }
}

// What is seen.

/// A UDP connection was seen.
fn sighting(tuple: Tuple) -> Sighting {
    Sighting {
        key: key(),
        l4: L4::Udp,
        tuple,
    }
}

type TestWatch = Detect<Vec<Option<Key>>, Vec<Candidate>>;

fn watch(rules: usize, candidates: usize) -> TestWatch {
    // What was there before must not matter.
    let keys = vec![Some(key()); keys_len(rules)];
    Detect::new(keys, vec![Candidate::NONE; candidates]).unwrap()
}

#[test]
fn a_busy_connection_is_reported_once_in_a_while() {
    let mut watch = watch(4, CANDIDATES);
    let tuple = v4(1, 2, 3, 4);
    let start = 5_000;
    assert!(!watch.has(&key()));
    for _ in 0..2 * BIND_PACKETS {
        assert!(!watch.seen(&key(), L4::Udp, &tuple, 1, start));
    }
    watch.set_keys([key()].into_iter());
    for n in 1..3 * BIND_PACKETS {
        assert_eq!(
            watch.seen(&key(), L4::Udp, &tuple, 1, start + u64::from(n)),
            n == BIND_PACKETS
        );
    }
    let seen = sighting(tuple);
    assert_eq!(watch.take(), Some(seen));
    assert_eq!(watch.take(), None);
    // Again after the time, and frames may come joined.
    let later = start + WINDOW_MS + 1;
    assert!(!watch.seen(&key(), L4::Udp, &tuple, BIND_PACKETS - 1, later));
    assert!(watch.seen(&key(), L4::Udp, &tuple, 7, later + 1));
    assert_eq!(watch.take(), Some(seen));
    // The keys of rules that are gone are not.
    watch.set_keys([].into_iter());
    assert!(!watch.seen(&key(), L4::Udp, &tuple, 100, later + 2 * WINDOW_MS));
}

#[test]
fn a_slow_connection_is_not_reported() {
    let mut watch = watch(4, CANDIDATES);
    watch.set_keys([key()].into_iter());
    let gap = WINDOW_MS / u64::from(BIND_PACKETS - 1) + 1;
    for n in 0..1000 {
        assert!(!watch.seen(&key(), L4::Tcp, &v6(1, 2, 3, 4), 1, n * gap));
    }
}

#[test]
fn the_first_connection_keeps_its_place_for_a_while() {
    let mut watch = watch(4, 1);
    watch.set_keys([key()].into_iter());
    let (first, second) = (v4(1, 1, 1, 1), v4(2, 2, 2, 2));
    assert!(!watch.seen(&key(), L4::Udp, &first, 1, 10));
    assert!(!watch.seen(&key(), L4::Udp, &second, 1000, 20));
    assert!(watch.seen(&key(), L4::Udp, &first, BIND_PACKETS, 30));
    assert!(watch.seen(&key(), L4::Udp, &second, 1000, 10 + WINDOW_MS));
}

#[test]
fn what_waits_is_bounded() {
    let mut watch = watch(4, 1 << 12);
    watch.set_keys([key()].into_iter());
    let mut queued = Vec::new();
    let mut n = 0;
    while watch.lost() < 5 {
        n += 1;
        let tuple = v4(1, n, 2, 1);
        if watch.seen(&key(), L4::Udp, &tuple, BIND_PACKETS, 1) {
            queued.push(tuple);
        }
    }
    assert_eq!(queued.len(), QUEUE);
    let taken: Vec<_> = core::iter::from_fn(|| watch.take()).collect();
    assert!(taken.iter().map(|seen| seen.tuple).eq(queued));
}

#[test]
fn every_key_is_found_and_no_other() {
    let keys: Vec<_> = (0..64)
        .map(|n| Key {
            ingress: PsePort(n & 1),
            smac: [2, 0, 0, 0, 0, n],
            dmac: [4, 0, 0, 0, n, 0],
            vlan: (n % 3 == 0).then_some(n.into()),
        })
        .collect();
    let mut watch = watch(64, 16);
    watch.set_keys(keys.iter().copied());
    for key in &keys {
        assert!(watch.has(key));
        let mut other = *key;
        other.vlan = Some(4000);
        assert!(!watch.has(&other));
        other = *key;
        other.ingress = PsePort(9);
        assert!(!watch.has(&other));
    }
    watch.set_keys(keys.iter().copied().filter(|key| key.vlan.is_none()));
    for key in &keys {
        assert_eq!(watch.has(key), key.vlan.is_none());
    }
    assert!(TestWatch::new(vec![None; 3], vec![Candidate::NONE; 4]).is_none());
    assert!(TestWatch::new(vec![None; 4], vec![Candidate::NONE; 0]).is_none());
}

proptest! {
    #[test]
    fn any_packet_is_read_without_harm(
        ethertype in prop_oneof![Just(0x0800_u16), Just(0x86dd), any::<u16>()],
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let _ = frame::parse(ethertype, &bytes);
    }
}
