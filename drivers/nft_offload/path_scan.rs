// SPDX-License-Identifier: GPL-2.0-only

//! Looks for what stands in the way of paths. In hardware flows would pass it by, without a word.
//!
//! Nobody is told when a qdisc comes or goes. So the devices on top of the ports are looked at
//! once a second, as long as there is something that could be offloaded, and what was found is
//! kept for when a flow is offered. That has to be quick where there is nothing, which is
//! everywhere but on few routers.

use crate::{
    platform::{
        Engine,
        Kernel, //
    },
    ppe::{
        flow::{
            Encap,
            Endpoint, //
        },
        netdev::Name,
        obstacle::{
            shapes,
            tagged,
            Direction,
            Kind,
            Kinds,
            Obstacles,
            Path,
            PortVlans, //
        },
        ports::Ports, //
    },
    rust::netdev::{
        self,
        Net,
        NetDevice, //
    },
    translate::{
        self,
        net_id, //
    }, //
};
use core::format_args;
use kernel::{
    device::Device,
    prelude::*,
    sync::rcu, //
};

/// Time between two looks, in milliseconds.
pub(crate) const LOOK_EVERY_MS: u64 = 1_000;

/// Devices on top of each other: more than the kernel allows (`MAX_NEST_DEV`).
const MAX_DEPTH: usize = 9;

/// Finds by which endpoints the traffic of a device goes, and how it looks there.
struct LowerWalk<'a> {
    rcu: &'a rcu::Guard,
    ports: &'a Ports<Kernel>,
    // One copy of the walk is enough.
    found: &'a mut dyn FnMut(Endpoint, Encap),
}

impl LowerWalk<'_> {
    /// `encap` is what the frames have when they get to `dev` from above.
    fn walk(&mut self, dev: &NetDevice, encap: Encap, depth: usize) {
        if let Some(at) = self.ports.find(dev.ifindex(), net_id(dev.net())) {
            return (self.found)(at, encap);
        }
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        if let Some((session, lower)) = dev.pppoe(self.rcu) {
            let encap = Encap {
                pppoe: Some(session),
                ..Encap::NONE
            };
            return self.walk(lower, encap, depth);
        }
        // What is no VLAN device may do to tags as it likes, as a bridge that filters VLANs does.
        let encap = match dev.vlan_id() {
            None => Some(Encap::NONE),
            Some(vid) => tagged(&encap, vid),
        };
        // Flows with more tags than there can be are never offloaded.
        let Some(encap) = encap else { return };
        for lower in dev.lower(self.rcu) {
            self.walk(lower, encap, depth);
        }
    }
}

/// What the log says of an obstacle.
enum Detail {
    /// A qdisc of this kind shapes.
    Qdisc(Name),
    /// This IFB shapes what filters redirect to it, by a qdisc of this kind.
    Ifb(Name, Name),
    /// This is there, and of no further interest.
    Is(&'static str),
}

/// A look at the devices of a namespace.
struct Scan<'a> {
    engine: &'a mut Engine,
    dev: &'a Device,
    rcu: &'a rcu::Guard,
    /// What is looked for.
    kinds: Kinds,
    /// An IFB that shapes, and the kind of its qdisc.
    ifb: Option<(Name, Name)>,
    found: &'a mut Obstacles,
}

impl Scan<'_> {
    fn all(&mut self, net: &Net) {
        let (rcu, kinds) = (self.rcu, self.kinds);
        let ifb = |dev: &NetDevice| Some((name(dev), shaper(dev, rcu)?));
        self.ifb = net.devices(rcu).filter(|dev| dev.is_ifb()).find_map(ifb);
        if self.kinds.has(Kind::MultiVlan) {
            self.vlans(net);
        }
        for dev in net.devices(rcu) {
            for kind in Kind::ALL.iter().filter(|kind| kinds.has(**kind)) {
                for direction in [Direction::Out, Direction::In] {
                    if let Some(detail) = self.look(dev, *kind, direction) {
                        self.add(dev, *kind, direction, &detail);
                    }
                }
            }
        }
    }

    /// Looks for ports with addresses of the router in several VLANs. A bridge hides the tags of
    /// its ports, so above it the VLAN device counts.
    fn vlans(&mut self, net: &Net) {
        let (mut vlans, found) = (PortVlans::NONE, &mut *self.found);
        for dev in net
            .devices(self.rcu)
            .filter(|dev| dev.has_address(self.rcu))
        {
            let mut walk = LowerWalk {
                rcu: self.rcu,
                ports: &self.engine.ports,
                found: &mut |at: Endpoint, encap: Encap| {
                    let [outer, _] = encap.vlan;
                    if vlans.add(at.port, outer.or(dev.vlan_id())) {
                        let path = Path {
                            at: at.port.into(),
                            encap: Encap::NONE,
                            direction: Direction::In,
                        };
                        found.add(&path, Kind::MultiVlan);
                    }
                },
            };
            walk.walk(dev, Encap::NONE, MAX_DEPTH);
        }
    }

    /// Whether there is an obstacle of this kind at a device.
    fn look(&self, dev: &NetDevice, kind: Kind, direction: Direction) -> Option<Detail> {
        match (kind, direction) {
            (Kind::Shaper, Direction::Out) => shaper(dev, self.rcu).map(Detail::Qdisc),
            (Kind::Shaper, Direction::In) => {
                let (ifb, kind) = self.ifb.filter(|_| dev.has_ingress_filters(self.rcu))?;
                Some(Detail::Ifb(ifb, kind))
            }
            (Kind::TcFilter, _) => {
                let egress = direction == Direction::Out;
                let is = dev.has_tc_filters(egress, self.rcu);
                is.then_some(Detail::Is("filters of tc"))
            }
            (Kind::NetdevChain, _) => {
                let egress = direction == Direction::Out;
                let is = dev.has_nft_chains(egress, self.rcu);
                is.then_some(Detail::Is("rules of nft"))
            }
            (Kind::Xdp, Direction::In) => dev.has_xdp().then_some(Detail::Is("an XDP program")),
            (Kind::EgressQosMap, Direction::Out) => dev
                .has_egress_qos_map()
                .then_some(Detail::Is("an egress-qos-map")),
            // Ports of several VLANs are found by vlans().
            (Kind::Xdp, Direction::Out)
            | (Kind::EgressQosMap, Direction::In)
            | (Kind::MultiVlan, _) => None,
        }
    }

    /// There is one, on all paths of the device over ports of the engine. One that was not known
    /// yet is said in the log.
    fn add(&mut self, dev: &NetDevice, kind: Kind, direction: Direction, detail: &Detail) {
        let (found, mut leads_to_port) = (&mut *self.found, false);
        let mut walk = LowerWalk {
            rcu: self.rcu,
            ports: &self.engine.ports,
            found: &mut |at, encap| {
                leads_to_port = true;
                let path = Path {
                    at,
                    encap,
                    direction,
                };
                found.add(&path, kind);
            },
        };
        walk.walk(dev, Encap::NONE, MAX_DEPTH);
        let net = net_id(dev.net());
        let is_port = self.engine.ports.find(dev.ifindex(), net).is_some();
        if leads_to_port && self.engine.warn_once((dev.ifindex(), net, direction, kind)) {
            warn(self.dev, name(dev), is_port, direction, detail);
        }
    }
}

fn name(dev: &NetDevice) -> Name {
    translate::name(dev.copy_name())
}

fn shaper(dev: &NetDevice, rcu: &rcu::Guard) -> Option<Name> {
    dev.find_qdisc(shapes, rcu).map(translate::name)
}

/// Looks what stands in the way now. Flows that would meet it leave the hardware.
pub(crate) fn scan(engine: &mut Engine, dev: &Device) {
    let mut before = Obstacles::NONE;
    let Some(kinds) = engine.begin_scan(&mut before) else {
        return;
    };
    for port in 0..engine.ports.own().len() {
        let net = engine.ports.net(port);
        let net = net.and_then(|net| netdev::NetId::from_usize(net.0).get());
        if let Some(net) = net {
            let mut found = Obstacles::NONE;
            find_obstacles(engine, dev, &net, kinds, &mut found);
            engine.found(&net, &before, &found);
        }
    }
}

/// Under RCU, which ends here: to take flows out may sleep.
#[inline(never)]
fn find_obstacles(
    engine: &mut Engine,
    dev: &Device,
    net: &Net,
    kinds: Kinds,
    found: &mut Obstacles,
) {
    let rcu = rcu::read_lock();
    let mut scan = Scan {
        engine,
        dev,
        rcu: &rcu,
        kinds,
        ifb: None,
        found,
    };
    scan.all(net);
}

fn warn(dev: &Device, name: Name, is_port: bool, direction: Direction, detail: &Detail) {
    let go = match direction {
        Direction::Out => "leave",
        Direction::In => "arrive",
    };
    // nf_flowtable sends by the lowest device and takes what arrives there, whatever is above.
    let more = if is_port {
        ""
    } else {
        ", where nf_flowtable bypasses it as well, since it is above the port"
    };
    // The kernel crate's own formatting knows none of these types.
    match detail {
        Detail::Is(what) => dev_warn!(
            dev,
            "{}\n",
            format_args!(
                "{name} has {what}, which hardware would bypass: flows that {go} by it stay in software{more}; see Documentation/guide/passed-by.md"
            )
        ),
        Detail::Qdisc(kind) => dev_warn!(
            dev,
            "{}\n",
            format_args!(
                "{name} has a shaping qdisc ({kind}), which hardware would bypass: flows that {go} by it stay in software{more}; see Documentation/guide/sqm.md"
            )
        ),
        Detail::Ifb(ifb, kind) => dev_warn!(
            dev,
            "{}\n",
            format_args!(
                "{name} has filters for what arrives and {ifb} a shaping qdisc ({kind}), which hardware would bypass: flows that {go} by {name} stay in software{more}; see Documentation/guide/sqm.md"
            )
        ),
    }
}
