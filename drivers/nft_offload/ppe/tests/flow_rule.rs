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
const ETH_ADDRS: Match = Match::EthAddrs {
    src: [2; 6],
    dst: [4; 6],
    src_mask: [0xff; 6],
    dst_mask: [0xff; 6],
};

fn parse(matches: &[Match], actions: &[Action]) -> Result<Flow, Reject> {
    // Whatever was there before.
    let mut flow = stale();
    let mut parser = RuleParser::new(&mut flow);
    matches.iter().try_for_each(|m| parser.on_match(*m))?;
    actions.iter().try_for_each(|a| parser.on_action(*a))?;
    parser.finish()?;
    Ok(flow)
}

/// A plain TCP connection over IPv4.
fn plain() -> Connection {
    let tuple = v4(1, 40000, 7, 443);
    Connection {
        l4: L4::Tcp,
        orig: tuple,
        reply: tuple.reversed(),
        snat: false,
        dnat: false,
        sides: [
            Side {
                at: PsePort(2).into(),
                own: [2, 0, 0, 0, 0, 1],
                peer: [2, 0, 0, 0, 0, 2],
                encap: Encap::NONE,
            },
            Side {
                at: PsePort(1).into(),
                own: [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc],
                peer: [0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f],
                encap: Encap::NONE,
            },
        ],
    }
}

/// The plain rule with each key, and then each action, given to `change`.
fn changed(
    on_match: impl Fn(Match) -> Vec<Match>,
    on_action: impl Fn(Action) -> Vec<Action>,
) -> Result<Flow, Reject> {
    let c = plain();
    let matches: Vec<_> = c.matches(0).into_iter().flat_map(on_match).collect();
    let actions: Vec<_> = c.actions(0).into_iter().flat_map(on_action).collect();
    parse(&matches, &actions)
}

fn same<T>(x: T) -> Vec<T> {
    Vec::from([x])
}

/// The plain rule with one more key.
fn with_match(key: Match) -> Result<Flow, Reject> {
    let c = plain();
    let mut matches = c.matches(0);
    matches.push(key);
    parse(&matches, &c.actions(0))
}

/// The plain rule with one more action in front.
fn with_action(action: Action) -> Result<Flow, Reject> {
    let c = plain();
    let mut actions = c.actions(0);
    actions.insert(0, action);
    parse(&c.matches(0), &actions)
}

#[test]
fn plain_rule() {
    let flow = changed(same, same).unwrap();
    assert_eq!(flow.tuple, v4(1, 40000, 7, 443));
    assert_eq!(flow.new, flow.tuple);
    assert_eq!(flow.smac, [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc]);
    assert_eq!(flow.dmac, [0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f]);
    assert_eq!(
        (flow.ingress, flow.egress),
        (PsePort(2).into(), PsePort(1).into())
    );
}

#[test]
fn missing_keys() {
    type Kind = fn(&Match) -> bool;
    let kinds: [(Kind, Reject); 5] = [
        (|m| matches!(m, Match::Meta { .. }), Reject::NoMeta),
        (|m| matches!(m, Match::Control { .. }), Reject::NoControl),
        (|m| matches!(m, Match::Basic { .. }), Reject::NoBasic),
        (|m| matches!(m, Match::Ipv4Addrs { .. }), Reject::NoAddrs),
        (|m| matches!(m, Match::Ports { .. }), Reject::NoPorts),
    ];
    for (is_kind, reject) in kinds {
        let without = |m| if is_kind(&m) { Vec::new() } else { same(m) };
        assert_eq!(changed(without, same), Err(reject));
    }
    // The TCP key says nothing the engine does not do anyway.
    let without = |m| match m {
        Match::Tcp { .. } => Vec::new(),
        _ => same(m),
    };
    assert!(changed(without, same).is_ok());
}

#[test]
fn foreign_ports() {
    let foreign = |m| match m {
        Match::Meta { mask, .. } => same(Match::Meta {
            ingress: None,
            mask,
        }),
        _ => same(m),
    };
    assert_eq!(changed(foreign, same), Err(Reject::ForeignIngress));
    let foreign = |a| match a {
        Action::Redirect { .. } => same(Action::Redirect { egress: None }),
        _ => same(a),
    };
    assert_eq!(changed(same, foreign), Err(Reject::ForeignEgress));
}

#[test]
fn partial_masks() {
    let partial: [fn(&mut Match); 9] = [
        |m| {
            if let Match::Meta { mask, .. } = m {
                *mask = 0;
            }
        },
        |m| {
            if let Match::Basic { n_proto_mask, .. } = m {
                *n_proto_mask = 0xff00;
            }
        },
        |m| {
            if let Match::Basic { ip_proto_mask, .. } = m {
                *ip_proto_mask = 0;
            }
        },
        |m| {
            if let Match::Ipv4Addrs { src_mask, .. } = m {
                src_mask[3] = 0;
            }
        },
        |m| {
            if let Match::Ipv4Addrs { dst_mask, .. } = m {
                dst_mask[3] = 0xfe;
            }
        },
        |m| {
            if let Match::Ports { sport_mask, .. } = m {
                *sport_mask = 0;
            }
        },
        |m| {
            if let Match::Ports { dport_mask, .. } = m {
                *dport_mask = 0x7fff;
            }
        },
        |m| {
            if let Match::Tcp { .. } = m {
                let (id, id_mask) = (5, 0xff);
                *m = Match::Vlan(VlanKey {
                    id,
                    id_mask,
                    ..VLAN
                });
            }
        },
        |m| {
            if let Match::Tcp { .. } = m {
                let tpid_mask = 0;
                *m = Match::Vlan(VlanKey { tpid_mask, ..VLAN });
            }
        },
    ];
    for change in partial {
        let change = |mut m| {
            change(&mut m);
            same(m)
        };
        assert_eq!(changed(change, same), Err(Reject::Mask));
    }
    assert_eq!(
        with_match(Match::Ipv6Addrs {
            src: [1; 16],
            dst: [1; 16],
            src_mask: [0xff; 16],
            dst_mask: [0; 16],
        }),
        Err(Reject::Mask)
    );
}

const VLAN: VlanKey = VlanKey {
    id: 5,
    id_mask: 0xfff,
    tpid: 0x8100,
    tpid_mask: 0xffff,
    prio_mask: 0,
};

#[test]
fn keys_that_cannot_be_matched() {
    let ip = |tos_mask, ttl_mask| Match::Ip {
        tos: 0x2e << 2,
        tos_mask,
        ttl: 64,
        ttl_mask,
    };
    assert!(with_match(ip(0xff, 0)).is_ok());
    assert!(with_match(ip(0, 0)).is_ok());
    assert_eq!(with_match(ip(0, 0xff)), Err(Reject::Ttl));
    assert_eq!(with_match(ETH_ADDRS), Err(Reject::Layer2));
    assert_eq!(with_match(Match::Tunnel), Err(Reject::Tunnel));
    assert_eq!(
        with_match(Match::Other { key: 40 }),
        Err(Reject::UnknownKey)
    );
    let tcp = |flags, mask| Match::Tcp { flags, mask };
    assert!(with_match(tcp(0, 7)).is_ok());
    assert_eq!(with_match(tcp(1, 1)), Err(Reject::TcpFlags));
    assert_eq!(with_match(tcp(0, 0x10)), Err(Reject::TcpFlags));
    let control = |addr_type, flags_mask| Match::Control {
        addr_type,
        flags_mask,
    };
    assert_eq!(
        with_match(control(AddrType::V4, 1)),
        Err(Reject::ControlFlags)
    );
    assert_eq!(with_match(control(AddrType::None, 0)), Err(Reject::Layer2));
    assert_eq!(with_match(control(AddrType::Other, 0)), Err(Reject::Family));
    let basic = |n_proto, ip_proto| Match::Basic {
        n_proto,
        n_proto_mask: 0xffff,
        ip_proto,
        ip_proto_mask: 0xff,
    };
    assert_eq!(with_match(basic(0x0800, 47)), Err(Reject::Protocol));
    assert_eq!(with_match(basic(0x0003, 6)), Err(Reject::Family));
}

#[test]
fn families_are_not_mixed() {
    let basic = |n_proto| Match::Basic {
        n_proto,
        n_proto_mask: 0xffff,
        ip_proto: 6,
        ip_proto_mask: 0xff,
    };
    assert_eq!(with_match(basic(0x86dd)), Err(Reject::MixedFamily));
    let control = Match::Control {
        addr_type: AddrType::V6,
        flags_mask: 0,
    };
    assert_eq!(with_match(control), Err(Reject::MixedFamily));
    let addrs = Match::Ipv6Addrs {
        src: [1; 16],
        dst: [1; 16],
        src_mask: [0xff; 16],
        dst_mask: [0xff; 16],
    };
    assert_eq!(with_match(addrs), Err(Reject::MixedFamily));
    assert_eq!(
        with_action(mangle(MangleHeader::Ip6, 8, [1; 4], [0; 4])),
        Err(Reject::MixedFamily)
    );
    let mut c = plain();
    c.orig = v6(1, 2, 3, 4);
    c.reply = c.orig.reversed();
    let mut actions = c.actions(0);
    assert!(parse(&c.matches(0), &actions).is_ok());
    actions.push(mangle(MangleHeader::Ip4, 12, [1; 4], [0; 4]));
    assert_eq!(parse(&c.matches(0), &actions), Err(Reject::MixedFamily));
}

#[test]
fn actions_that_cannot_be_done() {
    assert_eq!(with_action(Action::Accept), Err(Reject::Vlan8021ad));
    assert_eq!(with_action(Action::Tunnel), Err(Reject::Tunnel));
    assert_eq!(
        with_action(Action::Other { id: 30 }),
        Err(Reject::UnknownAction)
    );
    let egress = Some(PsePort(1).into());
    assert_eq!(
        with_action(Action::Redirect { egress }),
        Err(Reject::TwoRedirects)
    );
    let without = |a| match a {
        Action::Redirect { .. } => Vec::new(),
        _ => same(a),
    };
    assert_eq!(changed(same, without), Err(Reject::NoRedirect));
    assert!(with_action(Action::Csum { flags: 0x11 }).is_ok());
}

#[test]
fn mangles_that_cannot_be_done() {
    use MangleHeader as H;
    const KEEP_LOW: [u8; 4] = [0, 0, 0xff, 0xff];
    for action in [
        mangle(H::Eth, 0, [1; 4], [0xff, 0, 0, 0]),
        mangle(H::Eth, 4, [1; 4], [0; 4]),
        mangle(H::Eth, 12, [1; 4], [0; 4]),
        mangle(H::Ip4, 8, [1; 4], KEEP_LOW),
        mangle(H::Ip4, 12, [1; 4], KEEP_LOW),
        mangle(H::Ip4, 20, [1; 4], [0; 4]),
        mangle(H::Ip6, 4, [1; 4], [0; 4]),
        mangle(H::Ip6, 9, [1; 4], [0; 4]),
        mangle(H::Ip6, 21, [1; 4], [0; 4]),
        mangle(H::Ip6, 40, [1; 4], [0; 4]),
        mangle(H::Ip6, 8, [1; 4], KEEP_LOW),
        mangle(H::Tcp, 4, [1; 4], [0; 4]),
        mangle(H::Tcp, 0, [1; 4], [0xff, 0, 0xff, 0xff]),
        mangle(H::Udp, 0, [1; 4], KEEP_LOW),
        mangle(H::Unspec, 0, [1; 4], KEEP_LOW),
    ] {
        assert_eq!(with_action(action), Err(Reject::BadMangle), "{action:?}");
    }
    let both = mangle(H::Tcp, 0, [0x12, 0x34, 0x56, 0x78], [0; 4]);
    assert_eq!(with_action(both).unwrap().new.ports(), (0x1234, 0x5678));
}

#[test]
fn ethernet_addresses_must_be_whole_and_unicast() {
    for skip in 0..4 {
        let c = plain();
        let mut actions = c.actions(0);
        actions.remove(skip);
        let parsed = parse(&c.matches(0), &actions);
        assert_eq!(parsed, Err(Reject::MissingMac), "{skip}");
    }
    let with = |own, peer| {
        let mut c = plain();
        (c.sides[1].own, c.sides[1].peer) = (own, peer);
        parse(&c.matches(0), &c.actions(0))
    };
    let good = [2, 0, 0, 0, 0, 1];
    assert!(with(good, good).is_ok());
    assert_eq!(with([0; 6], good), Err(Reject::BadMac));
    assert_eq!(with(good, [0; 6]), Err(Reject::BadMac));
    assert_eq!(with([1, 0, 0, 0, 0, 1], good), Err(Reject::BadMac));
    assert_eq!(with(good, [0xff; 6]), Err(Reject::Multicast));
}

#[test]
fn groups_are_refused() {
    let mut c = plain();
    c.orig = v4(1, 2, 3, 4);
    if let Tuple::V4 { dst, .. } = &mut c.orig {
        *dst = [224, 0, 0, 251];
    }
    c.reply = c.orig.reversed();
    assert_eq!(parse(&c.matches(0), &c.actions(0)), Err(Reject::Multicast));
}

#[test]
fn tags() {
    assert_eq!(with_match(Match::Cvlan(VLAN)), Err(Reject::Vlan));
    // Matched, but not taken off.
    assert_eq!(with_match(Match::Vlan(VLAN)), Err(Reject::Vlan));
    // Taken off, but not matched: so the kernel's flowtable brings tagged flows.
    assert_eq!(with_action(Action::VlanPop).unwrap().in_encap.tags(), 1);
    let key = |key| with_match(Match::Vlan(key));
    let tpid = 0x88a8;
    assert_eq!(key(VlanKey { tpid, ..VLAN }), Err(Reject::Vlan8021ad));
    let prio_mask = 7;
    assert_eq!(
        key(VlanKey { prio_mask, ..VLAN }),
        Err(Reject::VlanPriority)
    );
    let id = 0x1000;
    assert_eq!(key(VlanKey { id, ..VLAN }), Err(Reject::Vlan));

    let push = |vid, proto, prio| Action::VlanPush { vid, proto, prio };
    let with = |actions: &[Action]| {
        let mut all = actions.to_vec();
        all.extend(plain().actions(0));
        parse(&plain().matches(0), &all)
    };
    assert_eq!(with(&[Action::VlanPop; 2]).unwrap().in_encap.tags(), 2);
    assert_eq!(with(&[Action::VlanPop; 3]), Err(Reject::VlanDepth));
    let flow = with(&[push(7, 0x8100, 0), push(8, 0x8100, 0)]).unwrap();
    assert_eq!(flow.out_encap.vlan, [Some(7), Some(8)]);
    assert_eq!(with(&[push(7, 0x8100, 0); 3]), Err(Reject::VlanDepth));
    assert_eq!(with(&[push(7, 0x88a8, 0)]), Err(Reject::Vlan8021ad));
    assert_eq!(with(&[push(7, 0x8100, 1)]), Err(Reject::VlanPriority));
    assert_eq!(with(&[push(0x1000, 0x8100, 0)]), Err(Reject::Vlan));
    let session = Action::PppoePush { sid: 9 };
    let flow = with(&[push(7, 0x8100, 0), session]).unwrap();
    assert_eq!(flow.out_encap.pppoe, Some(9));
    assert_eq!(with(&[session, push(7, 0x8100, 0)]), Err(Reject::Pppoe));
    assert_eq!(with(&[session, session]), Err(Reject::Pppoe));
}

#[test]
fn tags_of_802_1ad_refuse_both_directions() {
    let mut c = plain();
    c.snat = true;
    c.reply = v4(9, 40000, 7, 443).reversed();
    if let Tuple::V4 { src, .. } = &mut c.reply {
        *src = [198, 51, 100, 7];
    }
    let outer = [Action::Accept, {
        let (vid, proto, prio) = (5, 0x88a8, 0);
        Action::VlanPush { vid, proto, prio }
    }];
    for dir in 0..2 {
        for action in outer {
            let mut flow = stale();
            let mut parser = RuleParser::new(&mut flow);
            for m in c.matches(dir) {
                parser.on_match(m).unwrap();
            }
            assert_eq!(parser.opposite_of_8021ad(), None);
            // In front of the mangles that translate.
            let mut actions = c.actions(dir);
            actions.insert(4, action);
            for a in actions {
                parser.on_action(a).unwrap();
            }
            assert_eq!(parser.finish(), Err(Reject::Vlan8021ad));
            let opposite = c.flow(1 - dir).key();
            assert_eq!(parser.opposite_of_8021ad(), Some(opposite));
            assert_eq!(c.flow(dir).opposite(), opposite);
        }
    }
    let mut flow = stale();
    let mut parser = RuleParser::new(&mut flow);
    parser.on_action(Action::Accept).unwrap();
    assert_eq!(parser.opposite_of_8021ad(), None);
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
    })
}

fn any_endpoint() -> impl Strategy<Value = Option<Endpoint>> {
    proptest::option::of((any::<u8>(), proptest::option::of(any::<u8>())).prop_map(
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
    prop_oneof![
        any_endpoint().prop_map(|ingress| Match::Meta {
            ingress,
            mask: u32::MAX
        }),
        (addr_type, 0..2_u32).prop_map(|(addr_type, flags_mask)| Match::Control {
            addr_type,
            flags_mask
        }),
        (
            prop_oneof![Just(0x800), Just(0x86dd), any::<u16>()],
            mask(),
            any::<u8>()
        )
            .prop_map(|(n_proto, n_proto_mask, ip_proto)| Match::Basic {
                n_proto,
                n_proto_mask,
                ip_proto: if ip_proto > 99 { ip_proto } else { 6 },
                ip_proto_mask: 0xff
            }),
        any::<([u8; 4], [u8; 4])>().prop_map(|(src, dst)| Match::Ipv4Addrs {
            src,
            dst,
            src_mask: [0xff; 4],
            dst_mask: [0xff; 4]
        }),
        any::<([u8; 16], [u8; 16])>().prop_map(|(src, dst)| Match::Ipv6Addrs {
            src,
            dst,
            src_mask: [0xff; 16],
            dst_mask: [0xff; 16]
        }),
        (any::<(u16, u16)>(), mask()).prop_map(|((sport, dport), sport_mask)| Match::Ports {
            sport,
            dport,
            sport_mask,
            dport_mask: 0xffff
        }),
        any::<(u16, u16)>().prop_map(|(flags, mask)| Match::Tcp { flags, mask }),
        any_vlan().prop_map(Match::Vlan),
        any_vlan().prop_map(Match::Cvlan),
        any::<(u8, u8, u8, u8)>().prop_map(|(tos, tos_mask, ttl, ttl_mask)| Match::Ip {
            tos,
            tos_mask,
            ttl,
            ttl_mask: ttl_mask & 1
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
        2 => any_endpoint().prop_map(|egress| Action::Redirect { egress }),
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
        let mut flow = stale();
        let mut parser = RuleParser::new(&mut flow);
        for m in matches {
            let _ = parser.on_match(m);
        }
        for a in actions {
            let _ = parser.on_action(a);
        }
        let _ = parser.finish();
    }
}
