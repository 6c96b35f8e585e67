// SPDX-License-Identifier: GPL-2.0-only

//! What devices do to flows.

use super::*;

#[test]
fn a_port_that_goes_down_takes_its_flows_along() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    let changes = b
        .engine
        .on_device_event(&TestNet, &event(Event::Down, LAN, false));
    assert_eq!(changes.down, Some(LAN));
    assert!(!b.frame(&flow));
    assert_eq!(b.stat("flushed"), 1);
    let mut small = event(Event::ChangeMtu, WAN, true);
    small.dev.mtu = 1400;
    b.engine.on_device_event(&TestNet, &small);
    assert_eq!(b.engine.table.hw.mtu, 1400);
}

#[test]
fn ports_of_switches_and_sessions() {
    let mut b = Bench::new();
    let user = UserPort {
        conduit: LAN.0.into(),
        net: NET,
        number: 3,
        tag: DSA_TAG,
    };
    let at = Endpoint {
        port: LAN,
        dsa: dsa(3),
    };
    let switch = |what, up| DeviceEvent {
        dev: Device {
            ifindex: device_at(Some(at)).0,
            ..device(LAN, up)
        },
        is_user_port: true,
        user: Some(user),
        ..event(what, LAN, up)
    };
    for there in [true, false] {
        b.engine
            .on_device_event(&TestNet, &switch(Event::Change, true));
        let mut flow = rule(1);
        (flow.ingress.dsa, flow.egress.dsa) = (dsa(3), None);
        if !there {
            (flow.ingress, flow.egress) = (flow.egress, flow.ingress);
        }
        assert_eq!(b.replace(there.into(), &flow), Ok(Replaced::Bound));
        b.engine
            .on_device_event(&TestNet, &switch(Event::Down, false));
        assert!(!b.frame(&flow));
        assert_eq!(b.replace(there.into(), &flow), Err(Reject::PortDown));
    }
    let mut session = rule(2);
    session.out_encap.pppoe = Some(7);
    let port = |b: &mut Bench| b.engine.ports.take_pppoe_port(0, NET);
    assert_eq!(port(&mut b), None);
    assert_eq!(b.replace(2, &session), Ok(Replaced::Bound));
    assert_eq!(port(&mut b), Some(WAN.0.into()));
    let down = event(Event::Down, LAN, false);
    b.engine.on_device_event(&TestNet, &down);
    assert_eq!(b.replace(3, &rule(3)), Err(Reject::PortDown));
}

#[test]
fn what_was_shaped_before_is_no_news() {
    let mut b = Bench::new();
    let mut found = Obstacles::NONE;
    let path = Path {
        at: WAN.into(),
        encap: Encap::NONE,
        direction: PathDirection::Out,
    };
    found.add(&path, Kind::Shaper);
    let flow = b.bound(1);
    b.engine.found(&TestNet, &found, &found);
    assert!(b.frame(&flow));
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::ShapedEgress));
    b.engine.set_policy("refuse_shaped 0").unwrap();
    let wanted = b.engine.begin_scan(&mut found).unwrap();
    assert!(!wanted.has(Kind::Shaper));
}
