// SPDX-License-Identifier: GPL-2.0-only

//! Flows that pass a device with a shaping qdisc stay in software: in hardware they would pass it
//! by, without a word.
//!
//! Nobody is told when a qdisc comes or goes. So the devices on top of the ports are looked at
//! once a second, as long as there is something that could be offloaded, and what was found is
//! kept for when a flow is offered. That has to be quick where nothing is shaped, which is
//! everywhere but on routers with SQM.

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
        ports::Ports,
        shaping::{
            shapes,
            tagged,
            Direction,
            Shaper,
            Shapers, //
        }, //
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
struct LowerWalk<'a, F> {
    rcu: &'a rcu::Guard,
    ports: &'a Ports<Kernel>,
    found: F,
}

impl<F: FnMut(Endpoint, Encap)> LowerWalk<'_, F> {
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

/// Looks where traffic is shaped in namespace `net`. What was not known yet is said in the log.
fn find_shapers(engine: &mut Engine, dev: &Device, net: &Net) -> Shapers {
    let mut shapers = Shapers::NONE;
    let rcu = rcu::read_lock();
    let shaper_of = |dev: &NetDevice| dev.find_qdisc(shapes, &rcu).map(translate::name);
    let name_of = |dev: &NetDevice| translate::name(dev.copy_name());
    let ifb = net
        .devices(&rcu)
        .filter(|dev| dev.is_ifb())
        .find_map(|ifb| Some((name_of(ifb), shaper_of(ifb)?)));
    let id = translate::net_id(net);
    for upper in net.devices(&rcu) {
        let out = shaper_of(upper).map(|kind| (Direction::Out, None, kind));
        let arriving = ifb
            .filter(|_| upper.has_ingress_filters(&rcu))
            .map(|(ifb, kind)| (Direction::In, Some(ifb), kind));
        for (direction, ifb, kind) in [out, arriving].into_iter().flatten() {
            let mut found = None;
            let mut walk = LowerWalk {
                rcu: &rcu,
                ports: &engine.ports,
                found: |at, encap| {
                    found = Some(());
                    shapers.add(Shaper {
                        at,
                        encap,
                        direction,
                    });
                },
            };
            walk.walk(upper, Encap::NONE, MAX_DEPTH);
            let is_port = engine.ports.find(upper.ifindex(), id).is_some();
            if found.is_some() && engine.warn_once((upper.ifindex(), id, direction)) {
                warn(dev, name_of(upper), is_port, ifb, kind);
            }
        }
    }
    shapers
}

/// Looks where traffic is shaped now. Flows that pass there leave the hardware.
pub(crate) fn scan(engine: &mut Engine, dev: &Device) {
    let Some(before) = engine.begin_scan() else {
        return;
    };
    for port in 0..engine.ports.own().len() {
        let net = engine.ports.net(port);
        let net = net.and_then(|net| netdev::NetId::from_usize(net.0).get());
        if let Some(net) = net {
            let found = find_shapers(engine, dev, &net);
            engine.shaped(&net, &before, &found);
        }
    }
}

fn warn(dev: &Device, name: Name, is_port: bool, ifb: Option<Name>, kind: Name) {
    // nf_flowtable sends by the lowest device and takes what arrives there, whatever is above.
    let more = if is_port {
        ""
    } else {
        ", where nf_flowtable bypasses it as well, since it is above the port"
    };
    // The kernel crate's own formatting knows none of these types.
    match ifb {
        None => dev_warn!(
            dev,
            "{}\n",
            format_args!(
                "{name} has a shaping qdisc ({kind}), which hardware would bypass: flows that leave by it stay in software{more}; see Documentation/guide/sqm.md"
            )
        ),
        Some(ifb) => dev_warn!(
            dev,
            "{}\n",
            format_args!(
                "{name} has filters for what arrives and {ifb} a shaping qdisc ({kind}), which hardware would bypass: flows that arrive by {name} stay in software{more}; see Documentation/guide/sqm.md"
            )
        ),
    }
}
