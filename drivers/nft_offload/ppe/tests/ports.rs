// SPDX-License-Identifier: GPL-2.0-only

//! Ports, their devices, and what becomes of events.

use super::super::netdev::Event;
use super::*;

const LAN: PsePort = PsePort(1);
const WAN: PsePort = PsePort(2);
const NET: NetId = NetId(7);
const OTHER_NET: NetId = NetId(8);

fn name(name: &str) -> Name {
    let mut bytes = [0; Name::LEN];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Name(bytes)
}

const fn mac(port: PsePort) -> [u8; 6] {
    [2, 0, 0, 0, 0, port.0]
}

fn dev(ifindex: i32, up: bool) -> Device {
    Device {
        ifindex,
        net: NET,
        mtu: 1500,
        name: name(&std::format!("eth{ifindex}")),
        up,
    }
}

fn event(event: Event, dev: Device) -> DeviceEvent {
    DeviceEvent {
        event,
        dev,
        mac: None,
        is_user_port: false,
        user: None,
    }
}

/// The device of `port` comes, and is up.
fn register(port: PsePort, ifindex: i32) -> DeviceEvent {
    DeviceEvent {
        mac: Some(mac(port)),
        ..event(Event::Register, dev(ifindex, true))
    }
}

/// A port of a switch behind the device 1.
fn user(what: Event, ifindex: i32, up: bool) -> DeviceEvent {
    DeviceEvent {
        is_user_port: true,
        user: Some(UserPort {
            conduit: 1,
            net: NET,
            number: ifindex.try_into().unwrap_or(u8::MAX),
            tag: DSA_TAG,
        }),
        ..event(what, dev(ifindex, up))
    }
}

fn at(number: u8) -> Endpoint {
    Endpoint {
        port: LAN,
        dsa: Some(DsaPort {
            tag: DSA_TAG,
            number,
        }),
    }
}

fn ports() -> Ports<TestHost> {
    Ports::new([LAN, WAN].map(|port| Port::new(port, mac(port))).to_vec()).unwrap()
}

fn with_devices() -> Ports<TestHost> {
    let mut ports = ports();
    ports.on_event(&register(LAN, 1));
    ports.on_event(&register(WAN, 2));
    ports
}

#[test]
fn a_device_is_known_by_its_permanent_address() {
    let mut ports = ports();
    assert_eq!(ports.find(1, NET), None);
    assert!(ports.on_event(&register(LAN, 1)).mtu);
    assert_eq!(ports.find(1, NET), Some(LAN.into()));
    assert_eq!(ports.find(1, OTHER_NET), None);
    // Another device with that address, such as a macvlan that is just made, is none.
    ports.on_event(&register(LAN, 3));
    assert_eq!(ports.find(3, NET), None);
    assert_eq!(ports.by_name("eth1"), Some(LAN.into()));
    assert_eq!(ports.by_name("eth"), None);
    assert_eq!(ports.name_of(LAN.into()).unwrap().to_string(), "eth1");
    // It moves to another namespace: it is unregistered, and comes back.
    let gone = ports.on_event(&event(Event::Unregister, dev(1, false)));
    assert_eq!((gone.down, gone.removed), (Some(LAN), Some(LAN)));
    let mut moved = register(LAN, 9);
    moved.dev.net = OTHER_NET;
    ports.on_event(&moved);
    assert_eq!(ports.find(9, OTHER_NET), Some(LAN.into()));
}

#[test]
fn a_port_goes_down_once() {
    let mut ports = with_devices();
    assert!(ports.is_up(WAN.into()));
    let down = ports.on_event(&event(Event::Down, dev(2, false)));
    let only = Changes {
        down: Some(WAN),
        ..Changes::default()
    };
    assert_eq!(down, only);
    assert!(!ports.is_up(WAN.into()) && ports.is_up(LAN.into()));
    assert_eq!(
        ports.on_event(&event(Event::Down, dev(2, false))),
        Changes::default()
    );
    assert_eq!(
        ports.on_event(&event(Event::Change, dev(2, true))),
        Changes::default()
    );
    assert!(ports.is_up(WAN.into()));
    // A device that is no port.
    assert_eq!(
        ports.on_event(&event(Event::Down, dev(5, false))),
        Changes::default()
    );
}

#[test]
fn a_switch_behind_a_port() {
    let mut ports = with_devices();
    // It may have the address of its conduit, and be registered before it is linked.
    let mut unlinked = user(Event::Register, 3, false);
    (unlinked.user, unlinked.mac) = (None, Some(mac(WAN)));
    ports.on_event(&event(Event::Unregister, dev(2, false)));
    ports.on_event(&unlinked);
    assert_eq!((ports.find(3, NET), ports.of_switches().count()), (None, 0));
    ports.on_event(&user(Event::Change, 3, true));
    ports.on_event(&user(Event::Change, 4, true));
    assert_eq!(ports.find(3, NET), Some(at(3)));
    assert_eq!(ports.by_name("eth4"), Some(at(4)));
    assert_eq!(ports.name_of(at(4)).unwrap().to_string(), "eth4");
    assert!(ports.is_up(at(3)) && !ports.is_up(at(5)));

    let down = ports.on_event(&user(Event::Down, 3, false));
    assert_eq!((down.switch_down, down.down), (Some(at(3)), None));
    assert!(!ports.is_up(at(3)) && ports.is_up(at(4)));
    // The conduit takes them all along.
    assert_eq!(
        ports.on_event(&event(Event::Down, dev(1, false))).down,
        Some(LAN)
    );
    assert!(!ports.is_up(at(4)));
    ports.on_event(&event(Event::Change, dev(1, true)));

    // While a switch goes away its conduit is none any more.
    let mut leaves = user(Event::Down, 4, false);
    leaves.user = None;
    assert_eq!(ports.on_event(&leaves).switch_down, Some(at(4)));
    assert_eq!(ports.of_switches().count(), 2);
    ports.on_event(&user(Event::Unregister, 4, false));
    assert_eq!(ports.of_switches().count(), 1);
}

#[test]
fn a_user_port_that_gets_another_number_is_gone_from_the_old_one() {
    let mut ports = with_devices();
    ports.on_event(&user(Event::Change, 3, true));
    let mut renumbered = user(Event::Change, 3, true);
    renumbered.user.as_mut().unwrap().number = 5;
    assert_eq!(ports.on_event(&renumbered).switch_down, Some(at(3)));
    assert_eq!(ports.find(3, NET), Some(at(5)));
    assert_eq!(ports.on_event(&renumbered).switch_down, None);
}

#[test]
fn more_ports_of_switches_than_there_is_room_for() {
    let mut ports = with_devices();
    for n in (10..).take(MAX_SWITCH_PORTS) {
        assert!(!ports.on_event(&user(Event::Change, n, true)).full);
    }
    assert!(ports.on_event(&user(Event::Change, 500, true)).full);
    // Its next event is no news.
    assert!(!ports.on_event(&user(Event::Change, 500, true)).full);
    assert_eq!(ports.find(500, NET), None);
    ports.on_event(&user(Event::Unregister, 10, true));
    ports.on_event(&user(Event::Change, 500, true));
    assert!(ports.find(500, NET).is_some());
}

#[test]
fn the_smallest_mtu_counts() {
    let mut ports = ports();
    assert_eq!(ports.mtu(), 1500);
    let mut large = register(LAN, 1);
    large.dev.mtu = 9000;
    ports.on_event(&large);
    assert_eq!(ports.mtu(), 9000);
    let mut small = user(Event::Change, 3, true);
    small.dev.mtu = 1400;
    assert!(ports.on_event(&small).mtu);
    assert_eq!(ports.mtu(), 1400);
    // A switch behind somebody else's port is of no interest.
    small.user.as_mut().unwrap().conduit = 77;
    ports.on_event(&small);
    assert_eq!(ports.mtu(), 9000);
}

#[test]
fn ports_with_pppoe_are_asked_for_once() {
    let mut ports = with_devices();
    ports.mark_pppoe(WAN);
    let taken =
        |ports: &mut Ports<TestHost>, net| (0..4).find_map(|nth| ports.take_pppoe_port(nth, net));
    assert_eq!(taken(&mut ports, OTHER_NET), None);
    assert_eq!(taken(&mut ports, NET), Some(2));
    assert_eq!(taken(&mut ports, NET), None);
}

#[test]
fn namespaces_are_named_once() {
    let mut ports = with_devices();
    let nets = |ports: &Ports<TestHost>| [0, 1, 2].map(|nth| ports.net(nth));
    assert_eq!(nets(&ports), [Some(NET), None, None]);
    ports.on_event(&event(Event::Unregister, dev(2, false)));
    let mut moved = register(WAN, 2);
    moved.dev.net = OTHER_NET;
    ports.on_event(&moved);
    assert_eq!(nets(&ports), [Some(NET), Some(OTHER_NET), None]);
}
