// SPDX-License-Identifier: GPL-2.0-only

//! Paths that take smaller packets than the ports, or lead to a gateway that is not needed.

use super::*;

#[test]
fn a_route_takes_smaller_packets_than_the_ports() {
    let mut b = Bench::new();
    let session = Flow {
        out_encap: Encap {
            pppoe: Some(7),
            ..Encap::NONE
        },
        ..rule(1)
    };
    for (ports, flow, mtu, fits) in [
        (1500, rule(1), 0, true),
        (1500, rule(1), 1500, true),
        (1500, rule(1), 9000, true),
        (1500, rule(1), 1499, false),
        (1400, rule(1), 1499, true),
        (1400, rule(1), 1400, true),
        (1400, rule(1), 1399, false),
        (1500, session, 1492, true),
        (1500, session, 1491, false),
        (1492, session, 1484, true),
    ] {
        let mut event = event(Event::ChangeMtu, WAN, true);
        event.dev.mtu = ports;
        b.engine.on_device_event(&TestNet, &event);
        let answer = b.offer_routed(b.lan, 1, &flow, mtu).unwrap();
        let wanted = if fits { None } else { Some(Reject::Mtu) };
        assert_eq!(answer.err(), wanted, "{ports} {mtu} {flow:?}");
    }
}

#[test]
fn the_destination_is_another_neighbour() {
    let mut b = Bench::new();
    b.engine.table.host.gateway = Some((WAN.0.into(), rule(1).dmac));
    // Nobody asks where there are no routing rules.
    assert_eq!(b.replace(3, &rule(3)), Ok(Replaced::Bound));
    b.ruled = true;
    assert_eq!(b.replace(3, &rule(3)), Err(Reject::OtherNeighbour));
    assert_eq!(b.replace(1, &rule(1)), Err(Reject::OtherNeighbour));
    let session = Flow {
        out_encap: Encap {
            pppoe: Some(7),
            ..Encap::NONE
        },
        ..rule(2)
    };
    assert_eq!(b.replace(2, &session), Ok(Replaced::Bound));
    b.engine.table.host.gateway = Some((LAN.0.into(), rule(1).dmac));
    assert_eq!(b.replace(1, &rule(1)), Ok(Replaced::Bound));
}
