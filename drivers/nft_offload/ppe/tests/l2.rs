// SPDX-License-Identifier: GPL-2.0-only

//! Bridged flows: rules, what is seen of connections, and subflows.

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

const fn redirect(egress: Option<Endpoint>) -> Action {
    Action::Redirect { egress }
}

const OUT: Action = redirect(Some(Endpoint {
    port: WAN,
    dsa: None,
}));

fn parse(matches: &[Match], actions: &[Action]) -> Result<Filter, Reject> {
    let mut parser = FilterParser::new();
    matches.iter().try_for_each(|m| parser.on_match(*m))?;
    actions.iter().try_for_each(|a| parser.on_action(*a))?;
    parser.finish(LAN)
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
        let (ingress, mask) = (at.map(Endpoint::from), u32::MAX);
        assert_eq!(with(&[Match::Meta { ingress, mask }], &[OUT]), want);
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

// Subflows.

const SLOTS: usize = 64;
const PORT: BlockId = BlockId(1);
/// Counts from the IP header on, as the chips do.
const LAYER3: Caps = Caps {
    mib: Some(MibUnit::Layer3),
    ..CAPS
};

struct Bench {
    table: TestTable,
    rules: Filters<TestHost>,
    flows: u32,
}

impl Bench {
    fn new(rules: usize, subflows: usize) -> Self {
        Self::with_spares(rules, subflows, 0)
    }

    fn with_spares(rules: usize, subflows: usize, spares: usize) -> Self {
        Self {
            table: new_table(SLOTS, &LAYER3, spares),
            rules: Filters::new(vec![Record::EMPTY; rules], vec![Subflow::EMPTY; subflows])
                .unwrap(),
            flows: 100,
        }
    }

    fn insert(&mut self, cookie: u64, prio: u32, rule: &Filter) -> Result<Count, Reject> {
        self.flows += 1;
        let flows = BlockId(self.flows);
        self.rules
            .insert(&mut self.table, PORT, cookie, flows, prio, rule)
    }

    fn remove(&mut self, cookie: u64) -> Option<Count> {
        self.rules.remove(&mut self.table, PORT, cookie)
    }

    fn bind(&mut self, tuple: &Tuple) -> Result<Option<Replaced>, Reject> {
        let seen = sighting(*tuple);
        self.rules.bind(&mut self.table, &seen, |_| Ok(()))
    }

    /// A frame of 100 bytes. Whether it was forwarded.
    fn frame(&mut self, tuple: &Tuple) -> bool {
        self.table
            .hw
            .frame(&rule().flow(L4::Udp, tuple), 100)
            .is_some()
    }

    /// Packets since last asked.
    fn stats(&mut self, cookie: u64) -> Option<u64> {
        let (stats, _) = self.rules.stats(&mut self.table, PORT, cookie)?;
        assert_eq!(stats.delta, count(stats.delta.packets));
        Some(stats.delta.packets)
    }

    fn last_used(&mut self, cookie: u64) -> u64 {
        self.rules
            .stats(&mut self.table, PORT, cookie)
            .unwrap()
            .0
            .last_used_ms
    }

    fn age(&mut self) -> Count {
        self.rules.age(&mut self.table)
    }

    fn subflows(&self) -> u32 {
        let stats = self.rules.rules_stats();
        assert_eq!(
            stats.subflows,
            self.rules.iter().map(|rule| rule.subflows).sum::<u32>()
        );
        assert_eq!(stats.subflows, self.table.table_stats().flows);
        stats.subflows
    }
}

fn tuple(n: u16) -> Tuple {
    v4(1, 1000 + n, 2, 53)
}

/// Frames of 100 bytes.
fn count(packets: u64) -> Count {
    let bytes = packets * 100;
    Count { packets, bytes }
}

#[test]
fn connections_of_a_rule_are_bound_and_counted_together() {
    let mut b = Bench::new(4, 16);
    assert_eq!(b.bind(&tuple(0)), Ok(None));
    assert_eq!(b.insert(7, 1, &rule()), Ok(Count::ZERO));
    assert_eq!(b.subflows(), 0);
    for n in 0..3 {
        assert_eq!(b.bind(&tuple(n)), Ok(Some(Replaced::Bound)));
    }
    // Seen again before anybody knew that it is bound.
    assert_eq!(b.bind(&tuple(1)), Ok(Some(Replaced::Refreshed)));
    assert_eq!(b.subflows(), 3);
    for n in [0, 1, 1, 2, 2, 2] {
        assert!(b.frame(&tuple(n)));
    }
    assert!(!b.frame(&tuple(3)));
    assert_eq!(b.stats(7), Some(6));
    assert_eq!(b.stats(7), Some(0));
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.remove(7), Some(count(1)));
    assert_eq!(b.remove(7), None);
    assert_eq!(b.stats(7), None);
    assert_eq!(b.subflows(), 0);
    assert!(b.table.hw.forwarding().is_empty());
    for n in 0..3 {
        assert!(!b.frame(&tuple(n)));
    }
}

#[test]
fn a_subflow_ends_when_idle_and_its_counts_stay() {
    let mut b = Bench::new(4, 16);
    b.insert(7, 1, &rule()).unwrap();
    let start = b.table.hw.now_ms.get();
    b.bind(&tuple(0)).unwrap();
    b.bind(&tuple(1)).unwrap();
    assert!(b.frame(&tuple(0)));
    b.table.host.wait(IDLE_MS - 2_000);
    assert!(b.frame(&tuple(1)));
    assert_eq!(b.age(), count(2));
    assert_eq!(b.subflows(), 2);
    b.table.host.wait(2_000);
    assert_eq!(b.age(), Count::ZERO);
    assert_eq!(b.subflows(), 1);
    assert!(!b.frame(&tuple(0)) && b.frame(&tuple(1)));
    assert_eq!(b.stats(7), Some(3));
    assert!(b.last_used(7) > start + IDLE_MS - 3_000);
    // It comes back, and the engine lets it go.
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    let (slot, _) = b
        .table
        .hw
        .look_up(&rule().flow(L4::Udp, &tuple(0)))
        .unwrap();
    b.table.hw.age_out(slot);
    assert_eq!(b.age(), count(1));
    assert_eq!(b.subflows(), 1);
    assert_eq!(b.stats(7), Some(1));
    assert_eq!(b.rules.rules_stats().ended, 2);
}

#[test]
fn what_others_take_out_of_the_table_is_forgotten() {
    let mut b = Bench::new(4, 16);
    b.insert(7, 1, &rule()).unwrap();
    for n in 0..3 {
        b.bind(&tuple(n)).unwrap();
        assert!(b.frame(&tuple(n)));
    }
    let other = flow(L4::Tcp, v4(9, 9, 9, 9));
    b.table.replace(PORT, 0, 0, &other).unwrap();
    let rules = &mut b.rules;
    b.table
        .remove_where(|_| true, |removed| rules.forget(removed));
    assert_eq!(b.subflows(), 0);
    assert_eq!(b.stats(7), Some(3));
    assert_eq!(b.bind(&tuple(1)), Ok(Some(Replaced::Bound)));
    assert_eq!(b.subflows(), 1);
}

#[test]
fn a_subflow_that_made_room_ends() {
    let mut b = Bench::with_spares(4, 64, 8);
    b.insert(7, 1, &rule()).unwrap();
    let first = NETSYS_V2.bucket(&rule().flow(L4::Udp, &tuple(0)), SLOTS as u32);
    let same: Vec<_> = (0..2000)
        .map(tuple)
        .filter(|t| NETSYS_V2.bucket(&rule().flow(L4::Udp, t), SLOTS as u32) == first)
        .take(5)
        .collect();
    for t in &same[..4] {
        b.bind(t).unwrap();
        assert!(b.frame(t));
    }
    assert_eq!(b.bind(&same[4]), Err(Reject::BucketFull));
    assert_eq!(b.rules.rules_stats().refused, 1);
    assert_eq!(b.subflows(), 4);
    b.table.host.wait(10_000);
    assert_eq!(b.bind(&same[4]), Ok(Some(Replaced::Bound)));
    assert_eq!(b.subflows(), 5);
    // One of the four is parked: it may come back, and the old one ends.
    let gone = same.iter().find(|t| !b.frame(t)).unwrap();
    b.table.host.wait(8_000);
    assert_eq!(b.bind(gone), Ok(Some(Replaced::Bound)));
    b.age();
    assert_eq!(b.subflows(), 4);
    assert_eq!(b.table.table_stats().parked, 0);
    let total = b.rules.iter().next().unwrap().total.packets;
    assert_eq!(b.stats(7), Some(total));
}

#[test]
fn of_two_rules_for_the_same_frames_one_counts() {
    let mut b = Bench::new(4, 16);
    let mut back = rule();
    back.out_encap.vlan = [Some(9), None];
    b.insert(1, 10, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    // One that counts less changes nothing.
    b.insert(2, 11, &back).unwrap();
    assert!(b.frame(&tuple(0)));
    // One that counts more takes over, and so does one that replaces the first.
    let known = b.insert(3, 9, &back).unwrap();
    assert_eq!(known.packets, 2);
    assert!(!b.frame(&tuple(0)));
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.stats(1), Some(2));
    assert_eq!(b.stats(2), Some(0));
    assert_eq!(b.stats(3), Some(1));
    b.insert(4, 9, &rule()).unwrap();
    assert!(!b.frame(&tuple(0)));
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.stats(4), Some(1));
    b.remove(3);
    assert!(b.frame(&tuple(0)));
    b.remove(4);
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.stats(1), Some(1));
}

#[test]
fn a_rule_for_another_protocol_does_not_count() {
    let mut b = Bench::new(4, 16);
    let tcp = Filter {
        l4: Some(L4::Tcp),
        ..rule()
    };
    b.insert(1, 1, &tcp).unwrap();
    assert_eq!(b.bind(&tuple(0)), Ok(None));
    b.insert(2, 2, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!((b.stats(1), b.stats(2)), (Some(0), Some(1)));
}

#[test]
fn a_rule_can_be_changed_and_offered_again() {
    let mut b = Bench::new(1, 16);
    b.insert(1, 1, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.insert(1, 1, &rule()), Ok(Count::ZERO));
    assert!(b.frame(&tuple(0)));
    let mut tagged = rule();
    tagged.out_encap.vlan = [Some(9), None];
    assert_eq!(b.insert(1, 1, &tagged).unwrap().packets, 2);
    assert!(!b.frame(&tuple(0)));
    assert_eq!(b.stats(1), Some(2));
    assert_eq!(b.rules.rules_stats().rules, 1);
}

#[test]
fn no_entry_is_made_for_a_flow_that_is_refused() {
    let mut b = Bench::new(4, 16);
    b.insert(1, 1, &rule()).unwrap();
    for reject in [Reject::PortDown, Reject::ShapedEgress] {
        let bound = b.rules.bind(&mut b.table, &sighting(tuple(0)), |flow| {
            assert_eq!((flow.ingress.port, flow.egress.port), (LAN, WAN));
            Err(reject)
        });
        assert_eq!(bound, Err(reject));
    }
    assert_eq!(b.subflows(), 0);
    b.bind(&tuple(0)).unwrap();
    b.bind(&tuple(1)).unwrap();
    let record = b.rules.iter().next().unwrap();
    let subflows: Vec<_> = b.rules.subflows(record).collect();
    assert_eq!(subflows.len(), 2);
    for subflow in subflows {
        let slot = b.table.find(record.flows, subflow.into()).unwrap();
        assert!(b.table.get(slot).unwrap().bound);
    }
}

#[test]
fn there_is_an_end_to_rules_and_subflows() {
    let mut b = Bench::new(2, 3);
    b.insert(1, 1, &rule()).unwrap();
    let mut other = rule();
    other.key.smac = [6; 6];
    b.insert(2, 1, &other).unwrap();
    other.key.smac = [10; 6];
    assert_eq!(b.insert(3, 1, &other), Err(Reject::TableFull));
    for n in 0..3 {
        b.bind(&tuple(n)).unwrap();
    }
    assert_eq!(b.bind(&tuple(3)), Err(Reject::TableFull));
    assert_eq!(b.subflows(), 3);
    b.remove(1);
    b.insert(3, 1, &rule()).unwrap();
    b.bind(&tuple(3)).unwrap();
    let counted = b.rules.remove_owner(&mut b.table, PORT);
    assert_eq!(counted, Count::ZERO);
    assert_eq!(b.rules.rules_stats().rules, 0);
    assert_eq!(b.subflows(), 0);
    assert!(b.table.hw.forwarding().is_empty());
}

#[test]
fn a_flow_of_others_is_not_bound_twice() {
    let mut b = Bench::new(4, 16);
    b.insert(1, 1, &rule()).unwrap();
    let routed = flow(L4::Udp, tuple(0));
    b.table.replace(PORT, 5, 0, &routed).unwrap();
    assert_eq!(b.bind(&tuple(0)), Err(Reject::KeyInUse));
    assert_eq!(b.rules.rules_stats().subflows, 0);
    assert_eq!(b.table.hw.forwarding().len(), 1);
    // And the other way round.
    b.bind(&tuple(1)).unwrap();
    let routed = flow(L4::Udp, tuple(1));
    let replaced = b.table.replace(PORT, 6, 0, &routed);
    assert_eq!(replaced, Err(Reject::KeyInUse));
}

#[test]
fn subflows_of_an_engine_that_is_gone_end() {
    let mut b = Bench::new(4, 16);
    b.insert(1, 1, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    b.table.hw.dies_in = Some(0);
    assert_eq!(b.bind(&tuple(1)), Err(Reject::EngineDead));
    b.age();
    assert_eq!(b.subflows(), 0);
    b.bind(&tuple(2)).unwrap_err();
    assert_eq!(b.remove(1), Some(Count::ZERO));
}

#[test]
fn a_chip_that_counts_ethernet_headers_is_corrected() {
    let mut b = Bench::new(4, 16);
    b.table = new_table(SLOTS, &CAPS, 0);
    let mut tagged = rule();
    tagged.key.vlan = Some(5);
    b.insert(1, 1, &tagged).unwrap();
    let seen = Sighting {
        key: tagged.key,
        ..sighting(tuple(0))
    };
    b.rules.bind(&mut b.table, &seen, |_| Ok(())).unwrap();
    b.table
        .hw
        .frame(&tagged.flow(L4::Udp, &tuple(0)), 100 + 14 + 4)
        .unwrap();
    assert_eq!(b.stats(1), Some(1));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u8, u8, bool),
    Remove(u8),
    Bind(u8),
    Frame(u8),
    Stats(u8),
    Age,
    AgeOut(u8),
    FlushPort,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let rule = || 0_u8..4;
    let conn = || 0_u8..40;
    prop_oneof![
        2 => (rule(), 0_u8..3, any::<bool>()).prop_map(|(c, p, t)| Step::Insert(c, p, t)),
        1 => rule().prop_map(Step::Remove),
        6 => conn().prop_map(Step::Bind),
        10 => conn().prop_map(Step::Frame),
        3 => rule().prop_map(Step::Stats),
        1 => Just(Step::Age),
        1 => conn().prop_map(Step::AgeOut),
        1 => Just(Step::FlushPort),
        2 => (0_u16..20_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn any_packet_is_read_without_harm(
        ethertype in prop_oneof![Just(0x0800_u16), Just(0x86dd), any::<u16>()],
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let _ = frame::parse(ethertype, &bytes);
    }

    /// Whatever happens: each packet that was forwarded is reported once, to a rule that was
    /// there, or was not asked for before its rule went; and no rule, no entry.
    #[test]
    fn no_packet_is_lost_or_counted_twice(steps in prop::collection::vec(step(), 1..200)) {
        let mut b = Bench::with_spares(3, 20, 4);
        let mut live: HashMap<u64, u64> = HashMap::new();
        let (mut forwarded, mut reported, mut dropped) = (0_u64, 0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Insert(cookie, prio, tagged) => {
                    let mut rule = rule();
                    if tagged {
                        rule.out_encap.vlan = [Some(3), None];
                    }
                    if b.insert(cookie.into(), prio.into(), &rule).is_ok() {
                        live.entry(cookie.into()).or_default();
                    }
                }
                Step::Remove(cookie) => {
                    let total = b.rules.iter().find(|r| r.cookie == u64::from(cookie));
                    let before = total.map(|r| r.total.packets);
                    let end = b.remove(cookie.into());
                    let known = live.remove(&cookie.into());
                    prop_assert_eq!(end.is_some(), known.is_some());
                    if let (Some(end), Some(known), Some(before)) = (end, known, before) {
                        dropped += before + end.packets - known;
                    }
                }
                Step::Bind(n) => { let _ = b.bind(&tuple(n.into())); }
                Step::Frame(n) => forwarded += u64::from(b.frame(&tuple(n.into()))),
                Step::Stats(cookie) => {
                    let stats = b.stats(cookie.into());
                    prop_assert_eq!(stats.is_some(), live.contains_key(&cookie.into()));
                    if let Some(stats) = stats {
                        reported += stats;
                        *live.get_mut(&cookie.into()).unwrap() += stats;
                    }
                }
                Step::Age => { b.age(); }
                Step::AgeOut(n) => {
                    let flow = rule().flow(L4::Udp, &tuple(n.into()));
                    if let Some((slot, true)) = b.table.hw.look_up(&flow) {
                        b.table.hw.age_out(slot);
                    }
                }
                Step::FlushPort => {
                    let rules = &mut b.rules;
                    b.table.remove_where(|_| true, |r| rules.forget(r));
                }
                Step::Wait(ms) => b.table.host.wait(u64::from(ms)),
            }
            b.subflows();
            if live.is_empty() {
                prop_assert!(b.table.hw.forwarding().is_empty());
            }
        }
        for cookie in live.keys().copied().collect::<Vec<_>>() {
            reported += b.stats(cookie).unwrap();
        }
        prop_assert_eq!(reported + dropped, forwarded);
    }
}
