// SPDX-License-Identifier: GPL-2.0-only

//! Flows that pass a device with a shaping qdisc stay in software: in hardware they would pass it
//! by, without a word.
//!
//! Nobody is told when a qdisc comes or goes. So the devices on top of the ports are looked at
//! once a second, as long as there is something that could be offloaded, and what was found is
//! kept for when a flow is offered. That has to be quick where nothing is shaped, which is
//! everywhere but on routers with SQM.

use crate::{
    engine::{
        Engine,
        Port,
        PortsIn,
        State, //
    },
    parse::Ports,
    ppe::{
        flow::{
            Encap,
            Endpoint,
            Flow, //
        },
        reject::Reject,
        shaper::{
            shapes,
            tagged,
            Direction,
            Shaper,
            Shapers, //
        }, //
    },
    rust::{
        netdev::{
            Name,
            Net,
            NetDevice,
            NetId, //
        },
        work::{
            Task,
            Work, //
        }, //
    }, //
};
use core::format_args;
use kernel::{
    device::Device,
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};

/// Time between two looks, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// Devices on top of each other: more than the kernel allows (`MAX_NEST_DEV`).
const MAX_DEPTH: usize = 9;

/// Devices that the log was told about are remembered, so many.
const WARNED: usize = 16;

/// A device, and which way of its traffic is shaped.
type Place = (i32, NetId, Direction);

/// What is known of shaping.
pub(crate) struct Shaped {
    shapers: Shapers,
    /// The latest that the log was told about, each once.
    warned: [Option<Place>; WARNED],
    next: usize,
    /// There from the start of the engine to its end.
    work: Option<Arc<Work<Look>>>,
}

impl Shaped {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            shapers: Shapers::NONE,
            warned: [None; WARNED],
            next: 0,
            work: None,
        }
    }

    /// Whether `flow` is not to be offloaded.
    #[inline]
    pub(crate) fn check(&self, flow: &Flow) -> Result<(), Reject> {
        if self.shapers.is_empty() || !self.shapers.pass(flow) {
            return Ok(());
        }
        Err(Reject::ShapedEgress)
    }

    /// Looks as soon as may be.
    pub(crate) fn request(&self) {
        if let Some(work) = &self.work {
            work.request();
        }
    }

    /// Whether the log was not told about `place` yet. It is to be now.
    fn is_news(&mut self, place: Place) -> bool {
        if self.warned.contains(&Some(place)) {
            return false;
        }
        if let Some(oldest) = self.warned.get_mut(self.next) {
            *oldest = Some(place);
        }
        self.next = (self.next + 1) % WARNED;
        true
    }
}

/// Finds by which endpoints the traffic of a device goes, and how it looks there.
struct Descent<'a, F> {
    rcu: &'a rcu::Guard,
    ports: PortsIn<'a>,
    found: F,
}

impl<F: FnMut(Endpoint, Encap)> Descent<'_, F> {
    /// `encap` is what the frames have when they get to `dev` from above.
    fn descend(&mut self, dev: &NetDevice, encap: Encap, depth: usize) {
        if let Some(at) = self.ports.by_device(dev) {
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
            return self.descend(lower, encap, depth);
        }
        // What is no VLAN device may do to tags as it likes, as a bridge that filters VLANs does.
        let encap = match dev.vlan_id() {
            None => Some(Encap::NONE),
            Some(vid) => tagged(&encap, vid),
        };
        // Flows with more tags than there can be are never offloaded.
        let Some(encap) = encap else { return };
        for lower in dev.lower(self.rcu) {
            self.descend(lower, encap, depth);
        }
    }
}

impl State {
    /// Whether there is anything that could be offloaded.
    pub(crate) fn has_work(&self) -> bool {
        self.flowtables() > 0 || self.bridge.rules.rules_stats().rules > 0
    }

    /// Looks where traffic is shaped in namespace `net`, and adds that to `shapers`. What was not
    /// known yet is said in the log.
    fn find_shapers(&mut self, dev: &Device, net: &Net, shapers: &mut Shapers) {
        let rcu = rcu::read_lock();
        let shaper_of = |dev: &NetDevice| dev.find_qdisc(shapes, &rcu);
        let ifb = net
            .devices(&rcu)
            .filter(|dev| dev.is_ifb())
            .find_map(|ifb| Some((ifb.copy_name_rcu(&rcu), shaper_of(ifb)?)));
        for upper in net.devices(&rcu) {
            let out = shaper_of(upper).map(|kind| (Direction::Out, None, kind));
            let arriving = ifb
                .filter(|_| upper.has_ingress_filters(&rcu))
                .map(|(ifb, kind)| (Direction::In, Some(ifb), kind));
            for (direction, ifb, kind) in [out, arriving].into_iter().flatten() {
                let mut found = None;
                let mut descent = Descent {
                    rcu: &rcu,
                    ports: self.ports_in(net.id()),
                    found: |at, encap| {
                        found = Some(());
                        shapers.add(Shaper {
                            at,
                            encap,
                            direction,
                        });
                    },
                };
                let is_port = descent.ports.by_device(upper).is_some();
                descent.descend(upper, Encap::NONE, MAX_DEPTH);
                let place = (upper.ifindex(), net.id(), direction);
                if found.is_some() && self.shaped.is_news(place) {
                    warn(dev, upper.copy_name_rcu(&rcu), is_port, ifb, kind);
                }
            }
        }
    }

    /// Looks where traffic is shaped now. Flows that pass there leave the hardware.
    pub(crate) fn look_for_shapers(&mut self, dev: &Device) {
        let before = self.shaped.shapers;
        self.shaped.shapers = Shapers::NONE;
        if !self.policy.refuse_shaped || !self.has_work() {
            return;
        }
        for port in 0..self.ports.len() {
            // Ports are few, and almost always all in one namespace.
            let mut nets = self.ports.iter().take(port + 1).map(Port::net).rev();
            let net = nets.next().flatten();
            let Some(net) = net.filter(|_| !nets.any(|other| other == net)) else {
                continue;
            };
            let Some(net) = net.get() else { continue };
            let mut here = Shapers::NONE;
            self.find_shapers(dev, &net, &mut here);
            if !here.are_among(&before) {
                self.flush(&net, |record| here.pass(&record.flow));
            }
            self.shaped.shapers.add_all(&here);
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

/// Looks for shapers now and then.
pub(crate) struct Look(Arc<Engine>);

impl Task for Look {
    fn run(&self) -> Option<u64> {
        self.0.with(|state| {
            state.look_for_shapers(&self.0.dev);
            state.has_work().then_some(LOOK_EVERY_MS)
        })
    }
}

/// The looking, as long as this exists.
pub(crate) struct Looking(Arc<Engine>);

impl Looking {
    pub(crate) fn new(engine: Arc<Engine>) -> Result<Self> {
        let look = Arc::new(Look(engine.clone()), GFP_KERNEL)?;
        let work = Arc::pin_init(Work::new(look), GFP_KERNEL)?;
        engine.with(|state| state.shaped.work = Some(work));
        Ok(Self(engine))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        // As of the worker of bridged flows.
        let work = self.0.with(|state| state.shaped.work.take());
        if let Some(work) = work {
            work.stop();
        }
    }
}
