// SPDX-License-Identifier: GPL-2.0-only

//! The rule parser.

use super::*;

/// A flow with something in each field.
fn stale() -> Flow {
    let encap = Encap {
        vlan: [Some(0xabc), Some(0xdef)],
        pppoe: Some(0x5555),
    };
    Flow {
        ingress: Endpoint {
            port: PsePort(9),
            dsa: dsa(6),
        },
        egress: Endpoint {
            port: PsePort(8),
            dsa: dsa(7),
        },
        l4: L4::Udp,
        tuple: v6(0x5a, 1, 0xa5, 2),
        new: v6(0x5b, 3, 0xb5, 4),
        smac: [0x5a; 6],
        dmac: [0xa4; 6],
        in_encap: encap,
        out_encap: encap,
        routed: false,
    }
}

/// Any Ethernet addresses.
const ETH_ADDRS: Match = eth_addrs([[2; 6], [4; 6]], [[0xff; 6]; 2]);

fn parse(matches: &[Match], actions: &[Action]) -> Result<Flow, Reject> {
    // Whatever was there before.
    let mut parser = RuleParser::new(stale());
    parser.begin();
    matches.iter().for_each(|m| parser.on_match(*m));
    actions.iter().for_each(|a| parser.on_action(*a));
    parser.finish(endpoint_at)?;
    Ok(*parser.flow())
}

/// A plain TCP connection over IPv4.
fn plain() -> Connection {
    let side = |port, own, peer| Side {
        at: PsePort(port).into(),
        own,
        peer,
        encap: Encap::NONE,
    };
    let tuple = v4(1, 40000, 7, 443);
    Connection {
        l4: L4::Tcp,
        orig: tuple,
        reply: tuple.reversed(),
        snat: false,
        dnat: false,
        sides: [
            side(2, [2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
            side(1, SMAC, DMAC),
        ],
    }
}

const SMAC: [u8; 6] = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc];
const DMAC: [u8; 6] = [0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f];

/// The plain rule with keys and actions that `change` has changed.
fn changed<T>(change: impl FnOnce(&mut Vec<Match>, &mut Vec<Action>) -> T) -> Result<Flow, Reject> {
    let (mut matches, mut actions) = (plain().matches(0), plain().actions(0));
    change(&mut matches, &mut actions);
    parse(&matches, &actions)
}

/// The plain rule with one more key.
fn with_match(key: Match) -> Result<Flow, Reject> {
    changed(|matches, _| matches.push(key))
}

/// The plain rule with more actions in front.
fn with_actions(more: &[Action]) -> Result<Flow, Reject> {
    changed(|_, actions| drop(actions.splice(..0, more.iter().copied())))
}

/// The plain rule for another connection.
fn rule_for(change: impl FnOnce(&mut Connection)) -> Result<Flow, Reject> {
    let mut c = plain();
    change(&mut c);
    parse(&c.matches(0), &c.actions(0))
}

#[test]
fn plain_rule() {
    let flow = rule_for(|_| ()).unwrap();
    assert_eq!(flow.tuple, v4(1, 40000, 7, 443));
    assert_eq!(flow.new, flow.tuple);
    assert_eq!((flow.smac, flow.dmac), (SMAC, DMAC));
    let ways = (flow.ingress, flow.egress);
    assert_eq!(ways, (PsePort(2).into(), PsePort(1).into()));
}

#[test]
fn missing_keys() {
    let mut refused = 0;
    for (at, key) in plain().matches(0).into_iter().enumerate() {
        let want = match key {
            Match::Meta { .. } => Reject::NoMeta,
            Match::Control { .. } => Reject::NoControl,
            Match::Basic { .. } => Reject::NoBasic,
            Match::Ipv4Addrs { .. } => Reject::NoAddrs,
            Match::Ports { .. } => Reject::NoPorts,
            // The TCP key says nothing the engine does not do anyway.
            _ => {
                assert!(changed(|matches, _| matches.remove(at)).is_ok());
                continue;
            }
        };
        refused += 1;
        assert_eq!(changed(|matches, _| matches.remove(at)), Err(want));
    }
    assert_eq!(refused, 5);
}

#[test]
fn foreign_ports() {
    let foreign = changed(|matches, _| matches[0] = meta(None));
    assert_eq!(foreign, Err(Reject::ForeignIngress));
    let foreign = changed(|_, actions| *actions.last_mut().unwrap() = redirect(None));
    assert_eq!(foreign, Err(Reject::ForeignEgress));
}

/// A mask of something that no entry holds is not passed over.
#[test]
fn masks_that_are_not_understood() {
    let meta = |other_masks| Match::Meta {
        ingress: device_at(Some(PsePort(2).into())),
        mask: u32::MAX,
        other_masks,
    };
    let control = |thoff_mask| Match::Control {
        addr_type: AddrType::V4,
        flags_mask: 0,
        thoff_mask,
    };
    for (key, want) in [
        (meta(0), Ok(())),
        // l2_miss, and the type of the device.
        (meta(1), Err(Reject::UnknownKey)),
        (meta(0x100), Err(Reject::UnknownKey)),
        (control(0), Ok(())),
        (control(0xffff), Err(Reject::UnknownKey)),
    ] {
        assert_eq!(with_match(key).map(|_| ()), want, "{key:?}");
    }
    let tagged = |change: fn(&mut VlanKey)| {
        let mut key = VLAN;
        change(&mut key);
        let parsed = changed(|matches, actions| {
            matches.push(Match::Vlan(key));
            actions.insert(0, Action::VlanPop);
        });
        parsed.map(|flow| flow.in_encap.tags())
    };
    assert_eq!(tagged(|_| {}), Ok(1));
    assert_eq!(tagged(|key| key.dei_mask = true), Err(Reject::VlanPriority));
    let inner = tagged(|key| (key.inner, key.inner_mask) = (0x0800, 0xffff));
    assert_eq!(inner, Err(Reject::UnknownKey));
}

/// What the log of refused flows shows comes from all of the rule, wherever it failed.
#[test]
fn a_refused_rule_says_what_it_is_about() {
    let c = plain();
    let refused = |matches: &[Match], actions: &[Action]| {
        let mut parser = RuleParser::new(stale());
        parser.begin();
        matches.iter().for_each(|m| parser.on_match(*m));
        actions.iter().for_each(|a| parser.on_action(*a));
        (parser.finish(endpoint_at).unwrap_err(), parser.outline())
    };
    let whole = Outline {
        ip_proto: 6,
        tuple: Some(c.orig),
        ingress: Some(device_at(Some(PsePort(2).into()))),
        egress: Some(device_at(Some(PsePort(1).into()))),
    };
    // At the first key, and at an action.
    let mut matches = c.matches(0);
    matches.insert(0, Match::Tunnel);
    assert_eq!(refused(&matches, &c.actions(0)), (Reject::Tunnel, whole));
    let mut actions = c.actions(0);
    actions.insert(0, Action::Other { id: 30 });
    let seen = refused(&c.matches(0), &actions);
    assert_eq!(seen, (Reject::UnknownAction, whole));
    // The first reason counts, and a foreign device before what comes behind it.
    actions.insert(1, Action::Tunnel);
    assert_eq!(refused(&c.matches(0), &actions).0, Reject::UnknownAction);
    matches = c.matches(0);
    matches[0] = meta(None);
    assert_eq!(refused(&matches, &actions).0, Reject::ForeignIngress);
    // Nothing is left of the rule before.
    let mut parser = RuleParser::new(stale());
    c.matches(0).into_iter().for_each(|m| parser.on_match(m));
    parser.begin();
    assert_eq!(parser.outline(), Outline::default());
}

/// The key with each of its masks in turn in part only.
fn partial(key: Match) -> Vec<Match> {
    const ALL: [u8; 4] = [0xff; 4];
    match key {
        Match::Meta { ingress, .. } => vec![Match::Meta {
            ingress,
            mask: 0,
            other_masks: 0,
        }],
        Match::Basic {
            n_proto, ip_proto, ..
        } => vec![
            basic(n_proto, 0xff00, ip_proto, 0xff),
            basic(n_proto, 0xffff, ip_proto, 0),
        ],
        Match::Ipv4Addrs { src, dst, .. } => vec![
            ipv4_addrs([src, dst], [[0xff, 0xff, 0xff, 0], ALL]),
            ipv4_addrs([src, dst], [ALL, [0xff, 0xff, 0xff, 0xfe]]),
        ],
        Match::Ports { sport, dport, .. } => vec![
            port_pair((sport, dport), [0, 0xffff]),
            port_pair((sport, dport), [0xffff, 0x7fff]),
        ],
        Match::Tcp { .. } => {
            let (id_mask, tpid_mask) = (0xff, 0);
            let keys = [VlanKey { id_mask, ..VLAN }, VlanKey { tpid_mask, ..VLAN }];
            keys.map(Match::Vlan).to_vec()
        }
        _ => Vec::new(),
    }
}

#[test]
fn partial_masks() {
    let mut refused = 0;
    for (at, key) in plain().matches(0).into_iter().enumerate() {
        for key in partial(key) {
            let parsed = changed(|matches, _| matches[at] = key);
            assert_eq!(parsed, Err(Reject::Mask), "{key:?}");
            refused += 1;
        }
    }
    assert_eq!(refused, 9);
    let key = ipv6_addrs([[1; 16]; 2], [[0xff; 16], [0; 16]]);
    assert_eq!(with_match(key), Err(Reject::Mask));
}

const VLAN: VlanKey = vlan_key(5);

#[test]
fn keys_that_cannot_be_matched() {
    let ip = |tos_mask, ttl_mask| Match::Ip {
        tos: 0x2e << 2,
        tos_mask,
        ttl: 64,
        ttl_mask,
    };
    let tcp = |flags, mask| Match::Tcp { flags, mask };
    let vlan = |f: fn(&mut VlanKey)| {
        let mut key = VLAN;
        f(&mut key);
        Match::Vlan(key)
    };
    for (key, want) in [
        (ip(0xff, 0), Ok(())),
        (ip(0, 0), Ok(())),
        (ip(0, 0xff), Err(Reject::Ttl)),
        (ETH_ADDRS, Err(Reject::Layer2)),
        (Match::Tunnel, Err(Reject::Tunnel)),
        (Match::Other { key: 40 }, Err(Reject::UnknownKey)),
        (tcp(0, 7), Ok(())),
        (tcp(1, 1), Err(Reject::TcpFlags)),
        (tcp(0, 0x10), Err(Reject::TcpFlags)),
        (control(AddrType::V4, 1), Err(Reject::ControlFlags)),
        (control(AddrType::None, 0), Err(Reject::Layer2)),
        (control(AddrType::Other, 0), Err(Reject::Family)),
        (basic(0x0800, 0xffff, 47, 0xff), Err(Reject::Protocol)),
        (basic(0x0003, 0xffff, 6, 0xff), Err(Reject::Family)),
        // Families are not mixed.
        (basic(0x86dd, 0xffff, 6, 0xff), Err(Reject::MixedFamily)),
        (control(AddrType::V6, 0), Err(Reject::MixedFamily)),
        (
            ipv6_addrs([[1; 16]; 2], [[0xff; 16]; 2]),
            Err(Reject::MixedFamily),
        ),
        // A tag that is matched has to be taken off.
        (Match::Cvlan(VLAN), Err(Reject::Vlan)),
        (Match::Vlan(VLAN), Err(Reject::Vlan)),
        (vlan(|key| key.tpid = 0x88a8), Err(Reject::Vlan8021ad)),
        (vlan(|key| key.prio_mask = 7), Err(Reject::VlanPriority)),
        (vlan(|key| key.id = 0x1000), Err(Reject::Vlan)),
    ] {
        assert_eq!(with_match(key).map(|_| ()), want, "{key:?}");
    }
}

#[test]
fn families_are_not_mixed() {
    let four = mangle(MangleHeader::Ip4, 12, [1; 4], [0; 4]);
    let six = mangle(MangleHeader::Ip6, 8, [1; 4], [0; 4]);
    assert_eq!(with_actions(&[six]), Err(Reject::MixedFamily));
    let mut c = plain();
    c.orig = v6(1, 2, 3, 4);
    c.reply = c.orig.reversed();
    let mut actions = c.actions(0);
    assert!(parse(&c.matches(0), &actions).is_ok());
    actions.push(four);
    assert_eq!(parse(&c.matches(0), &actions), Err(Reject::MixedFamily));
}

#[test]
fn actions_that_cannot_be_done() {
    use MangleHeader as H;
    const KEEP_LOW: [u8; 4] = [0, 0, 0xff, 0xff];
    let push = |vid, proto, prio| Action::VlanPush { vid, proto, prio };
    let (good, session) = (push_vlan(7), Action::PppoePush { sid: 9 });
    for (actions, want) in [
        (&[Action::Accept][..], Reject::Vlan8021ad),
        (&[Action::Tunnel], Reject::Tunnel),
        (&[Action::Other { id: 30 }], Reject::UnknownAction),
        (&[redirect(Some(PsePort(1).into()))], Reject::TwoRedirects),
        (&[Action::VlanPop; 3], Reject::VlanDepth),
        (&[good; 3], Reject::VlanDepth),
        (&[push(7, 0x88a8, 0)], Reject::Vlan8021ad),
        (&[push(7, 0x8100, 1)], Reject::VlanPriority),
        (&[push_vlan(0x1000)], Reject::Vlan),
        (&[session, good], Reject::Pppoe),
        (&[session, session], Reject::Pppoe),
    ] {
        assert_eq!(with_actions(actions), Err(want), "{actions:?}");
    }
    for (header, offset, keep) in [
        (H::Eth, 0, [0xff, 0, 0, 0]),
        (H::Eth, 4, [0; 4]),
        (H::Eth, 12, [0; 4]),
        (H::Ip4, 8, KEEP_LOW),
        (H::Ip4, 12, KEEP_LOW),
        (H::Ip4, 20, [0; 4]),
        (H::Ip6, 4, [0; 4]),
        (H::Ip6, 9, [0; 4]),
        (H::Ip6, 21, [0; 4]),
        (H::Ip6, 40, [0; 4]),
        (H::Ip6, 8, KEEP_LOW),
        (H::Tcp, 4, [0; 4]),
        (H::Tcp, 0, [0xff, 0, 0xff, 0xff]),
        (H::Udp, 0, KEEP_LOW),
        (H::Unspec, 0, KEEP_LOW),
    ] {
        let action = mangle(header, offset, [1; 4], keep);
        let parsed = with_actions(&[action]);
        assert_eq!(parsed, Err(Reject::BadMangle), "{action:?}");
    }
    let nowhere = changed(|_, actions| actions.pop());
    assert_eq!(nowhere, Err(Reject::NoRedirect));
}

#[test]
fn actions_that_can_be_done() {
    assert!(with_actions(&[Action::Csum { flags: 0x11 }]).is_ok());
    let both = mangle(MangleHeader::Tcp, 0, [0x12, 0x34, 0x56, 0x78], [0; 4]);
    let flow = with_actions(&[both]).unwrap();
    assert_eq!(flow.new.ports(), (0x1234, 0x5678));
    // Taken off, but not matched: so the kernel's flowtable brings tagged flows.
    for tags in 1..=2 {
        let flow = with_actions(&[Action::VlanPop; 2][..tags.into()]).unwrap();
        assert_eq!(flow.in_encap.tags(), tags);
    }
    let flow = with_actions(&[push_vlan(7), push_vlan(8)]).unwrap();
    assert_eq!(flow.out_encap.vlan, [Some(7), Some(8)]);
    let flow = with_actions(&[push_vlan(7), Action::PppoePush { sid: 9 }]).unwrap();
    assert_eq!(flow.out_encap.pppoe, Some(9));
}

#[test]
fn ethernet_addresses_must_be_whole_and_unicast() {
    for skip in 0..4 {
        let parsed = changed(|_, actions| actions.remove(skip));
        assert_eq!(parsed, Err(Reject::MissingMac), "{skip}");
    }
    let good = [2, 0, 0, 0, 0, 1];
    for (own, peer, want) in [
        (good, good, Ok(())),
        ([0; 6], good, Err(Reject::BadMac)),
        (good, [0; 6], Err(Reject::BadMac)),
        ([1, 0, 0, 0, 0, 1], good, Err(Reject::BadMac)),
        (good, [0xff; 6], Err(Reject::Multicast)),
    ] {
        let parsed = rule_for(|c| (c.sides[1].own, c.sides[1].peer) = (own, peer));
        assert_eq!(parsed.map(|_| ()), want);
    }
}

#[test]
fn groups_are_refused() {
    let parsed = rule_for(|c| {
        if let Tuple::V4 { dst, .. } = &mut c.orig {
            *dst = [224, 0, 0, 251];
        }
        c.reply = c.orig.reversed();
    });
    assert_eq!(parsed, Err(Reject::Multicast));
}

#[test]
fn tags_of_802_1ad_refuse_both_directions() {
    let mut c = plain();
    c.snat = true;
    c.reply = v4(9, 40000, 7, 443).reversed();
    if let Tuple::V4 { src, .. } = &mut c.reply {
        *src = [198, 51, 100, 7];
    }
    let (vid, proto, prio) = (5, 0x88a8, 0);
    let outer = [Action::Accept, Action::VlanPush { vid, proto, prio }];
    for dir in 0..2 {
        for action in outer {
            let mut parser = RuleParser::new(stale());
            parser.begin();
            for m in c.matches(dir) {
                parser.on_match(m);
            }
            assert_eq!(parser.reverse_of_8021ad(), None);
            // In front of the mangles that translate.
            let mut actions = c.actions(dir);
            actions.insert(4, action);
            for a in actions {
                parser.on_action(a);
            }
            assert_eq!(parser.finish(endpoint_at), Err(Reject::Vlan8021ad));
            let reverse = c.flow(1 - dir).key();
            assert_eq!(parser.reverse_of_8021ad(), Some(reverse));
            assert_eq!(c.flow(dir).reverse(), reverse);
        }
    }
    let mut parser = RuleParser::new(stale());
    parser.begin();
    parser.on_action(Action::Accept);
    assert_eq!(parser.reverse_of_8021ad(), None);
}

#[test]
fn translation_of_ports_or_addresses_only() {
    let mut c = plain();
    c.snat = true;
    for reply in [v4(1, 50000, 7, 443), v4(9, 40000, 7, 443)] {
        c.reply = reply.reversed();
        for dir in 0..2 {
            let flow = parse(&c.matches(dir), &c.actions(dir)).unwrap();
            assert_eq!(flow, c.flow(dir));
            assert!(flow.is_nat());
        }
    }
}

fn any_vlan() -> impl Strategy<Value = VlanKey> {
    let tpid = prop_oneof![Just(0x8100), Just(0x88a8), any::<u16>()];
    let id_mask = prop_oneof![Just(0xfff), any::<u16>()];
    (any::<u16>(), id_mask, tpid, any::<u8>()).prop_map(|(id, id_mask, tpid, prio_mask)| VlanKey {
        id,
        id_mask,
        tpid,
        tpid_mask: 0xffff,
        prio_mask: prio_mask & 1,
        dei_mask: false,
        inner: 0,
        inner_mask: 0,
    })
}

fn any_endpoint() -> impl Strategy<Value = Option<Endpoint>> {
    proptest::option::of((1..=u8::MAX, proptest::option::of(0..u8::MAX)).prop_map(
        |(port, number)| Endpoint {
            port: PsePort(port),
            dsa: number.and_then(dsa),
        },
    ))
}

fn any_match() -> impl Strategy<Value = Match> {
    let mask = || prop_oneof![3 => Just(u16::MAX), 1 => any::<u16>()];
    let addr_type = prop_oneof![
        Just(AddrType::V4),
        Just(AddrType::V6),
        Just(AddrType::None),
        Just(AddrType::Other)
    ];
    let n_proto = prop_oneof![Just(0x800), Just(0x86dd), any::<u16>()];
    prop_oneof![
        any_endpoint().prop_map(meta),
        (addr_type, 0..2_u32).prop_map(|(addr_type, flags)| control(addr_type, flags)),
        (n_proto, mask(), any::<u8>()).prop_map(|(n_proto, mask, ip_proto)| {
            basic(
                n_proto,
                mask,
                if ip_proto > 99 { ip_proto } else { 6 },
                0xff,
            )
        }),
        any::<[[u8; 4]; 2]>().prop_map(|addresses| ipv4_addrs(addresses, [[0xff; 4]; 2])),
        any::<[[u8; 16]; 2]>().prop_map(|addresses| ipv6_addrs(addresses, [[0xff; 16]; 2])),
        (any::<(u16, u16)>(), mask()).prop_map(|(ports, mask)| port_pair(ports, [mask, 0xffff])),
        any::<(u16, u16)>().prop_map(|(flags, mask)| Match::Tcp { flags, mask }),
        any_vlan().prop_map(Match::Vlan),
        any_vlan().prop_map(Match::Cvlan),
        any::<(u8, u8, u8, bool)>().prop_map(|(tos, tos_mask, ttl, ttl_mask)| Match::Ip {
            tos,
            tos_mask,
            ttl,
            ttl_mask: ttl_mask.into()
        }),
        Just(ETH_ADDRS),
        Just(Match::Tunnel),
        any::<u32>().prop_map(|key| Match::Other { key }),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    use MangleHeader as H;
    let header = prop_oneof![
        Just(H::Eth),
        Just(H::Ip4),
        Just(H::Ip6),
        Just(H::Tcp),
        Just(H::Udp),
        Just(H::Unspec)
    ];
    let mask = prop_oneof![Just(0), Just(0xffff), Just(0xffff_0000), any::<u32>()];
    let offset = prop_oneof![4 => 0..44_u32, 1 => any::<u32>()];
    prop_oneof![
        8 => (header, offset, mask, any::<u32>()).prop_map(|(header, offset, mask, val)| {
            Action::Mangle { header, offset, mask, val }
        }),
        1 => (any::<u16>(), prop_oneof![Just(0x8100), any::<u16>()], 0..2_u8).prop_map(
            |(vid, proto, prio)| Action::VlanPush { vid, proto, prio }
        ),
        1 => Just(Action::VlanPop),
        1 => any::<u16>().prop_map(|sid| Action::PppoePush { sid }),
        1 => any::<u32>().prop_map(|flags| Action::Csum { flags }),
        2 => any_endpoint().prop_map(redirect),
        1 => Just(Action::Accept),
        1 => Just(Action::Tunnel),
        1 => any::<u32>().prop_map(|id| Action::Other { id }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    /// Whatever the kernel's flowtable emits is understood, in both directions.
    #[test]
    fn rules_of_the_kernel(c in connection()) {
        for dir in 0..2 {
            prop_assert_eq!(parse(&c.matches(dir), &c.actions(dir)), Ok(c.flow(dir)));
        }
    }

    /// Keys may come in any order.
    #[test]
    fn keys_in_any_order(
        (c, matches) in connection()
            .prop_flat_map(|c| (Just(c), Just(c.matches(0)).prop_shuffle()))
    ) {
        prop_assert_eq!(parse(&matches, &c.actions(0)), Ok(c.flow(0)));
    }

    /// Nothing that comes in makes the parser panic, even if the caller goes on after a
    /// refusal.
    #[test]
    fn anything_at_all(
        matches in proptest::collection::vec(any_match(), 0..16),
        actions in proptest::collection::vec(any_action(), 0..32),
    ) {
        let mut parser = RuleParser::new(stale());
        parser.begin();
        for m in matches {
            parser.on_match(m);
        }
        for a in actions {
            parser.on_action(a);
        }
        let _ = parser.finish(endpoint_at);
    }
}
