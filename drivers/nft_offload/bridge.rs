// SPDX-License-Identifier: GPL-2.0-only

//! Bridged flows: the rules that tc has at the ingress of a port.
//!
//! The engine cannot look for Ethernet addresses. So the frames that come to the CPU at a port
//! with rules are looked at ([`Eye`]), and a connection of which enough came gets an entry from
//! [`Worker`]'s work, by which it no longer comes to the CPU. The kernel knows nothing of these
//! entries: they end with their rule, or by that work.
//!
//! Locking: all but the frames are behind [`Engine::state`]. [`Seen::watch`] is taken inside of it,
//! and by softirqs.

use crate::{
    engine::{
        is_up,
        Binding,
        Engine,
        State, //
    },
    parse,
    platform::Kernel,
    ppe::{
        bridge::{
            frame,
            rules::{
                Record,
                Rules,
                Subflow,
                RULES,
                SUBFLOWS, //
            },
            watch::{
                keys_len,
                Candidate,
                Watch,
                CANDIDATES,
                QUEUE, //
            },
            Key, //
        },
        count::Count,
        flow::{
            Flow,
            Mac,
            PsePort, //
        },
        refusals::Refused,
        reject::Reject,
        rule::{
            ETH_P_8021Q,
            VLAN_VID_MASK, //
        },
        table::{
            Owner,
            Stats, //
        }, //
    },
    rust::{
        flow_offload::{
            Cookie,
            Filter, //
        },
        netdev::NetDevice,
        softirq::BhLock,
        tap::{
            Frame,
            Look,
            Tap, //
        },
        time,
        work::{
            Task,
            Work, //
        }, //
    }, //
};
use core::{
    fmt,
    writeln, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Time between two looks at the subflows, in milliseconds.
const AGE_EVERY_MS: u64 = 5_000;

/// What was seen at the ports.
#[pin_data]
struct Seen {
    #[pin]
    watch: BhLock<Watch<VVec<Option<Key>>, VVec<Candidate>>>,
}

/// Looks at what a port receives.
struct Eye {
    port: PsePort,
    seen: Arc<Seen>,
    work: Arc<Work<Engine>>,
}

impl Look for Eye {
    fn frame(&self, frame: &Frame) {
        let vlan = match frame.tag() {
            None => None,
            // A priority would be lost, so such frames are left to software.
            Some((ETH_P_8021Q, tci)) if tci & !VLAN_VID_MASK == 0 => Some(tci),
            Some(_) => return,
        };
        let Some((l4, tuple)) = frame::parse(frame.protocol(), frame.head()) else {
            return;
        };
        let key = Key {
            ingress: self.port,
            smac: frame.source(),
            dmac: frame.destination(),
            vlan,
        };
        let now_ms = time::now_ms();
        let enough = self
            .seen
            .watch
            .with(|watch| watch.seen(&key, l4, &tuple, frame.packets(), now_ms));
        if enough {
            self.work.request();
        }
    }
}

/// The rules of an engine's ports.
pub(crate) struct Bridge {
    pub(crate) rules: Rules<Kernel>,
    seen: Arc<Seen>,
    /// The ports that are looked at: those with rules.
    taps: KVec<(PsePort, Pin<KBox<Tap<Eye>>>)>,
    /// There from the start of the engine to its end.
    work: Option<Arc<Work<Engine>>>,
    /// When the subflows were last looked at.
    aged_ms: u64,
}

impl Bridge {
    /// No rules, and memory for as many as there may be.
    pub(crate) fn new() -> Result<Self> {
        let watch = Watch::new(
            VVec::from_elem(None, keys_len(RULES), GFP_KERNEL)?,
            VVec::from_elem(Candidate::NONE, CANDIDATES, GFP_KERNEL)?,
        )
        .ok_or(EINVAL)?;
        let rules = Rules::new(
            VVec::from_elem(Record::EMPTY, RULES, GFP_KERNEL)?,
            VVec::from_elem(Subflow::EMPTY, SUBFLOWS, GFP_KERNEL)?,
        )
        .ok_or(EINVAL)?;
        Ok(Self {
            rules,
            seen: Arc::pin_init(
                pin_init!(Seen {
                    watch <- BhLock::new(watch),
                }),
                GFP_KERNEL,
            )?,
            taps: KVec::new(),
            work: None,
            aged_ms: 0,
        })
    }

    /// Sightings for which there was no room.
    pub(crate) fn lost(&self) -> u64 {
        self.seen.watch.with(|watch| watch.lost())
    }

    /// Looks at what `dev` receives, which is `port`, from now on.
    fn look_at(&mut self, port: PsePort, dev: &NetDevice) -> Result {
        if self.taps.iter().any(|(tapped, _)| *tapped == port) {
            return Ok(());
        }
        let eye = Eye {
            port,
            seen: self.seen.clone(),
            work: self.work.clone().ok_or(ENODEV)?,
        };
        self.taps.reserve(1, GFP_KERNEL)?;
        let tap = KBox::pin_init(Tap::new(dev, eye), GFP_KERNEL)?;
        self.taps
            .push_within_capacity((port, tap))
            .map_err(|_| ENOMEM)
    }

    /// Looks no longer at what `port` receives.
    pub(crate) fn look_away(&mut self, port: PsePort) {
        self.taps.retain(|(tapped, _)| *tapped != port);
    }

    /// After rules came or went: frames of theirs are of interest, and no others.
    fn update(&mut self) {
        let rules = &self.rules;
        self.seen.watch.with(|watch| watch.set_keys(rules.keys()));
        self.taps
            .retain(|(port, _)| rules.keys().any(|key| key.ingress == *port));
    }
}

impl State {
    /// Takes a rule, or says why not: for lack of memory, or for the reason.
    pub(crate) fn add_rule(
        &mut self,
        binding: &Binding,
        dev: &NetDevice,
        filter: Filter<'_>,
    ) -> Result<(), Result<Reject>> {
        if !self.alive() {
            return Err(Ok(Reject::EngineDead));
        }
        if filter.chain != 0 {
            return Err(Ok(Reject::Chain));
        }
        let ports = self.ports_in(dev.net().id());
        let rule = parse::parse_filter(filter.rule, binding.port, &ports).map_err(Ok)?;
        if self.table.spec().caps.mib.is_none() && filter.rule.demands_counters() {
            return Err(Ok(Reject::NoCounters));
        }
        let flows = self.new_owner().map_err(Err)?;
        self.bridge.look_at(binding.port, dev).map_err(Err)?;
        let inserted = self.bridge.rules.insert(
            &mut self.table,
            binding.owner,
            filter.cookie.0,
            flows,
            filter.prio,
            &rule,
        );
        self.bridge.update();
        self.counters.forward(inserted.map_err(Ok)?);
        self.shaped.request();
        Ok(())
    }

    /// Ends a rule.
    pub(crate) fn remove_rule(&mut self, owner: Owner, cookie: Cookie) -> Result {
        let counted = self
            .bridge
            .rules
            .remove(&mut self.table, owner, cookie.0)
            .ok_or(ENOENT)?;
        self.counters.destroyed += 1;
        self.counters.forward(counted);
        self.bridge.update();
        Ok(())
    }

    /// Ends all rules of a binding.
    pub(crate) fn remove_rules(&mut self, owner: Owner) {
        let counted = self.bridge.rules.remove_owner(&mut self.table, owner);
        self.counters.forward(counted);
        self.bridge.update();
    }

    /// What a rule has counted.
    pub(crate) fn rule_stats(&mut self, owner: Owner, cookie: Cookie) -> Option<Stats> {
        let (stats, counted) = self.bridge.rules.stats(&mut self.table, owner, cookie.0)?;
        self.counters.forward(counted);
        Some(stats)
    }

    /// Writes a line for the rule whose subflows belong to `flows`, and one for each of these.
    ///
    /// This takes no count away: what is read is kept for the next report.
    pub(crate) fn show_rule(&mut self, flows: Owner, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = &self.bridge.rules;
        let Some(record) = rules.iter().find(|record| record.flows == flows) else {
            return Ok(());
        };
        let mut count = record.total;
        for subflow in rules.subflows(record) {
            let slot = self.table.find(flows, subflow.into());
            let subflow = slot.and_then(|slot| self.table.harvest(slot));
            count = count.plus(subflow.map_or(Count::ZERO, |subflow| subflow.unreported));
        }
        let rule = &record.rule;
        let [outer, inner] = rule.out_encap.vlan.map(|vid| vid.unwrap_or(0));
        writeln!(
            f,
            "port {}->{} eth={}->{} vlan={} out={outer},{inner} prio={} subflows={} packets={} bytes={}",
            rule.key.ingress,
            rule.egress,
            Mac(rule.key.smac),
            Mac(rule.key.dmac),
            rule.key.vlan.unwrap_or(0),
            record.prio,
            record.subflows,
            count.packets,
            count.bytes,
        )?;
        for subflow in rules.subflows(record) {
            let Some(slot) = self.table.find(flows, subflow.into()) else {
                continue;
            };
            if let Some(subflow) = self.table.get(slot) {
                let (l4, tuple) = (subflow.flow.l4, subflow.flow.tuple);
                let Count { packets, bytes } = subflow.total;
                writeln!(
                    f,
                    "  {slot:05x} {l4} {tuple} packets={packets} bytes={bytes}"
                )?;
            }
        }
        Ok(())
    }

    /// Gives the connections that were seen their entries.
    fn bind_seen(&mut self) {
        for _ in 0..QUEUE {
            let Some(seen) = self.bridge.seen.watch.with(|watch| watch.take()) else {
                break;
            };
            let (ports, switch_ports) = (&self.ports, &self.switch_ports);
            let (policy, paused, shaped) = (&self.policy, self.paused, &self.shaped);
            let check = |flow: &Flow| {
                if !is_up(ports, switch_ports, flow.ingress)
                    || !is_up(ports, switch_ports, flow.egress)
                {
                    return Err(Reject::PortDown);
                }
                policy.admit(flow)?;
                shaped.check(flow)?;
                if paused {
                    return Err(Reject::Paused);
                }
                Ok(())
            };
            let bound = self.bridge.rules.bind(&mut self.table, &seen, check);
            if let Err(reject) = bound {
                self.count_reject(reject);
                self.table.host.trace.reject(None, || Refused {
                    reject,
                    ip_proto: seen.l4.ip_proto(),
                    tuple: Some(seen.tuple),
                    ingress: None,
                    egress: None,
                });
            }
        }
    }

    /// Ends subflows that are idle, now and then.
    fn age_subflows(&mut self) {
        let now_ms = time::now_ms();
        if now_ms.saturating_sub(self.bridge.aged_ms) < AGE_EVERY_MS {
            return;
        }
        self.bridge.aged_ms = now_ms;
        let counted = self.bridge.rules.age(&mut self.table);
        self.counters.forward(counted);
    }
}

impl Task for Engine {
    fn run(&self) -> Option<u64> {
        self.with(|state| {
            state.bind_seen();
            state.age_subflows();
            (state.bridge.rules.rules_stats().subflows > 0).then_some(AGE_EVERY_MS)
        })
    }
}

/// The work of an engine, as long as this exists.
pub(crate) struct Worker(Arc<Engine>);

impl Worker {
    pub(crate) fn new(engine: Arc<Engine>) -> Result<Self> {
        let work = Arc::pin_init(Work::new(engine.clone()), GFP_KERNEL)?;
        engine.with(|state| state.bridge.work = Some(work));
        Ok(Self(engine))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The work and the engine keep each other. Not to be waited for with the engine's lock
        // held, which the work takes.
        let work = self.0.with(|state| state.bridge.work.take());
        if let Some(work) = work {
            work.stop();
        }
    }
}
