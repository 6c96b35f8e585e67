// SPDX-License-Identifier: GPL-2.0-only

//! One engine: what the kernel tells of flows, devices and time goes in, and entries of the
//! hardware and counts for the kernel come out.
//!
//! A glue calls everything here with one lock around the engine. Nothing here waits, but for the
//! hardware.

use super::{
    account::{
        AuditRuns,
        Counters, //
    },
    block::{
        Binding,
        Blocks,
        BoundTo,
        FlowTableId, //
    },
    count::inc,
    flow::Flow,
    flow_rule::parser::RuleParser,
    health::Health,
    hw::Lifecycle,
    l2::filters::{
        Filters,
        Record as FilterRecord,
        Subflow,
        FILTERS,
        SUBFLOWS, //
    },
    list::Full,
    netdev::{
        Name,
        NetId, //
    },
    obstacle::{
        Obstacles,
        Warned, //
    },
    platform::{
        ConnectionId,
        Conntrack, //
    },
    policy::Policy,
    ports::{
        Port,
        Ports, //
    },
    reject::Reject,
    reject_log::{
        RejectLog,
        RejectedRule, //
    },
    revalidate::cancelled::CancelledOffers,
    spec::Spec,
    table::{
        index_len,
        spares,
        BlockId,
        Host,
        Record,
        Replaced,
        Scope,
        Stats,
        Table, //
    }, //
};

mod devices;
pub mod filters;
mod hardware;
pub mod teardown;

/// Directions of flows that have ended and may be offered yet, at most.
const ENDED: usize = 2048;

/// Time between two looks at the subflows, in milliseconds.
pub const AGE_EVERY_MS: u64 = 5_000;

/// All that a glue is to an engine.
pub trait Platform: Host<Hw: Lifecycle> {
    /// The connections that the kernel tracks.
    type Conntrack: Conntrack;

    /// Something got no entry: of `owner`, if that is known.
    fn rejected(&self, owner: Option<BlockId>, rule: &RejectedRule) {
        let _ = (owner, rule);
    }

    /// Whether the Ethernet address that `flow` is sent to, at the interface `ifindex`, cannot be
    /// right: the destination is a neighbour there with another one.
    fn is_other_neighbour(&self, net: &Net<Self>, ifindex: i32, flow: &Flow) -> bool {
        let _ = (net, ifindex, flow);
        false
    }

    /// The engine does not answer any more.
    fn quarantined(&self, chip: &str) {
        let _ = chip;
    }
}

/// What a glue has to do after it called an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// Look where traffic is shaped soon, and from then on once a second.
    pub scan: bool,
    /// Look at the frames that the filters of tc are for, and at no others.
    pub filters: bool,
}

/// A namespace as the platform has it.
pub type Net<P> = <<P as Platform>::Conntrack as Conntrack>::Net;

/// What a command is of, as far as that may change: a flowtable, or rules of tc at a device.
pub struct Context<'a, P: Platform> {
    /// The namespace it is in.
    pub net: &'a Net<P>,
    /// Whether it is a flowtable whose ruleset asks for counters.
    pub counter: bool,
}

/// What the kernel says of the flow that it offers, besides its rule.
pub struct Offer<'a, P: Platform> {
    /// The namespace it is in.
    pub net: &'a Net<P>,
    /// The name of its rule.
    pub cookie: u64,
    /// The connection of which it is a direction.
    pub connection: ConnectionId,
    /// The largest packet that its route takes, in bytes from the IP header on; 0 if that is not
    /// known.
    pub mtu: u32,
    /// Whether routes depend on more than destinations. Without that no direction can have the
    /// route of another destination.
    pub ruled: bool,
}

/// Why a device is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// It is no port of this engine.
    Foreign,
    /// There is no room for another one.
    Full,
}

impl From<Full> for BindError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// An engine.
pub struct Engine<P: Platform> {
    /// Its flows, and its hardware.
    pub table: Table<P>,
    /// Its ports.
    pub ports: Ports<P>,
    pub(super) blocks: Blocks<P>,
    pub(super) filters: Filters<P>,
    pub(super) counters: Counters,
    pub(super) policy: Policy,
    pub(super) obstacles: Obstacles,
    pub(super) warned: Warned,
    pub(super) health: Health,
    pub(super) rejects: RejectLog<P>,
    pub(super) cancelled: CancelledOffers<P::Vec<Option<(BlockId, u64)>>>,
    pub(super) conntrack: P::Conntrack,
    pub(super) audits: AuditRuns,
    /// What parses rules, and has the flow of the last one.
    parser: RuleParser,
    /// New flows are kept in software.
    pub(super) paused: bool,
    /// No entry is valid, as the engine did not answer.
    quarantined: bool,
    /// When the subflows were last looked at.
    aged_ms: u64,
    wakes: Wakes,
}

impl<P: Platform> Engine<P> {
    /// An engine of the chip `spec` that is stopped, with these ports. `None` if there is no
    /// memory.
    pub fn new(
        host: P,
        conntrack: P::Conntrack,
        hw: P::Hw,
        spec: &'static Spec,
        ports: P::Vec<Port>,
        policy: Policy,
    ) -> Option<Self> {
        let slots = spec.slots();
        let records = P::filled(Record::EMPTY, slots.checked_add(spares(slots))?)?;
        let index = P::filled(0, index_len(slots))?;
        let mut table = Table::new(host, hw, spec, records, index)?;
        table.set_limit(policy.limit(slots));
        Some(Self {
            table,
            ports: Ports::new(ports)?,
            blocks: Blocks::new()?,
            filters: Filters::new(
                P::filled(FilterRecord::EMPTY, FILTERS)?,
                P::filled(Subflow::EMPTY, SUBFLOWS)?,
            )?,
            counters: Counters::default(),
            policy,
            obstacles: Obstacles::NONE,
            warned: Warned::NONE,
            health: Health::default(),
            rejects: RejectLog::new()?,
            cancelled: CancelledOffers::new(P::filled(None, ENDED)?),
            conntrack,
            audits: AuditRuns::default(),
            parser: RuleParser::new(Flow::NONE),
            paused: false,
            quarantined: false,
            aged_ms: 0,
            wakes: Wakes::default(),
        })
    }

    /// What has to be done since the last call.
    pub fn take_wakes(&mut self) -> Wakes {
        core::mem::take(&mut self.wakes)
    }

    /// The chip.
    pub fn spec(&self) -> &'static Spec {
        self.table.spec()
    }

    /// Whether there is anything that could be offloaded.
    pub fn has_work(&self) -> bool {
        !self.blocks.is_empty() || self.filters.rules_stats().rules > 0
    }

    /// The owner of the flows of a flowtable.
    pub fn owner_of(&self, table: FlowTableId) -> Option<BlockId> {
        self.blocks.owner_of(table)
    }
}

/// Devices of flowtables.
impl<P: Platform> Engine<P> {
    /// Binds a device to a flowtable.
    pub fn bind(
        &mut self,
        ifindex: i32,
        net: NetId,
        table: FlowTableId,
        counter: bool,
    ) -> Result<Binding, BindError> {
        let Some(port) = self.ports.port_of(ifindex, net) else {
            inc(&mut self.counters.foreign_devices);
            return Err(BindError::Foreign);
        };
        let binding = self.blocks.bind(table, port, counter)?;
        self.wakes.scan = true;
        Ok(binding)
    }

    /// Binds a device to rules of tc.
    pub fn bind_ingress(&mut self, ifindex: i32, net: NetId) -> Result<Binding, BindError> {
        let port = self.ports.port_of(ifindex, net).ok_or(BindError::Foreign)?;
        Ok(self.blocks.bind_ingress(port)?)
    }

    /// Ends a binding, and takes out what is of the device: all of the flowtable with its last
    /// one.
    pub fn unbind(&mut self, binding: &Binding, context: &Context<'_, P>) {
        let (owner, port) = (binding.owner, binding.port);
        match binding.to {
            BoundTo::Ingress => {
                self.wakes.filters = true;
                let counted = self.filters.remove_owner(&mut self.table, owner);
                self.counters.forward(counted);
            }
            BoundTo::FlowTable => {
                let Some(last) = self.blocks.is_last(binding) else {
                    return;
                };
                self.blocks.set_counter(owner, context.counter);
                self.flush(context.net, |record| {
                    record.owner == owner && (last || record.flow.uses(port))
                });
                self.blocks.unbind(binding);
            }
        }
    }
}

/// Flows of flowtables.
impl<P: Platform> Engine<P> {
    /// A rule is offered, which `feed` gives to the parser; `None` if another device of its
    /// flowtable handles it. `name_of` says how a device is called that a refused rule is about.
    pub fn replace(
        &mut self,
        binding: &Binding,
        offer: &Offer<'_, P>,
        feed: impl FnOnce(&mut RuleParser),
        name_of: &dyn Fn(i32, NetId) -> Option<Name>,
    ) -> Option<Result<Replaced, Reject>> {
        if !self.blocks.is_first(binding) {
            return None;
        }
        inc(&mut self.counters.offered);
        self.parser.begin();
        feed(&mut self.parser);
        let replaced = self.admit(binding.owner, offer);
        if let Err(reject) = replaced {
            let rule = RejectedRule::new(reject, &self.parser.outline(), name_of);
            self.rejects.add(&rule, self.table.host.now_ms());
            self.count_rejected(Some(binding.owner), &rule);
        }
        Some(replaced)
    }

    /// The way of the rule that the parser was given into the hardware.
    fn admit(&mut self, owner: BlockId, offer: &Offer<'_, P>) -> Result<Replaced, Reject> {
        let cookie = offer.cookie;
        if self.cancelled.take(owner, cookie) {
            return Err(Reject::Ended);
        }
        if !self.table.hw.is_alive() {
            return Err(Reject::EngineDead);
        }

        let ports = &self.ports;
        let parsed = self.parser.finish(|ifindex, net| ports.find(ifindex, net));
        if let Err(reject) = parsed {
            if let Some(key) = self.parser.reverse_of_8021ad() {
                self.table.refuse(owner, &key);
            }
            return Err(reject);
        }

        let flow = self.parser.flow();
        if flow.out_encap.pppoe.is_some() {
            self.ports.mark_pppoe(flow.egress.port);
        }
        let admission = Admission {
            ports: &self.ports,
            policy: &self.policy,
            obstacles: &self.obstacles,
            paused: self.paused && self.table.find(owner, cookie).is_none(),
        };
        admission.admit(flow)?;
        self.ports.admit_mtu(flow, offer.mtu)?;
        // The other end of a PPPoE session is no neighbour.
        if offer.ruled && flow.out_encap.pppoe.is_none() {
            let ifindex = self.ports.ifindex_of(flow.egress);
            let host = &self.table.host;
            if ifindex.is_some_and(|ifindex| host.is_other_neighbour(offer.net, ifindex, flow)) {
                return Err(Reject::OtherNeighbour);
            }
        }

        self.table.replace(owner, cookie, offer.connection, flow)
    }

    /// A flow ends. `None` if it is not known.
    pub fn destroy(
        &mut self,
        binding: &Binding,
        context: &Context<'_, P>,
        cookie: u64,
    ) -> Option<()> {
        if binding.to == BoundTo::Ingress {
            return self.remove_filter(binding, cookie);
        }
        self.cancelled.take(binding.owner, cookie);
        // Whichever binding it comes by: the first one may be leaving the flowtable, and then
        // none that comes later would take the flow out.
        let removed = self.table.destroy(binding.owner, cookie)?;
        inc(&mut self.counters.destroyed);
        self.counters.account_residual(
            &self.conntrack,
            Some(context.net),
            context.counter,
            removed,
        );
        Some(())
    }

    /// What a flow or rule has carried since it was last asked for, and when it was last used.
    /// `None` if it is not known, and nothing if another device of its flowtable is asked, too.
    pub fn stats(
        &mut self,
        binding: &Binding,
        context: &Context<'_, P>,
        cookie: u64,
    ) -> Option<Option<Stats>> {
        if binding.to == BoundTo::Ingress {
            let (stats, counted) = self.filters.stats(&mut self.table, binding.owner, cookie)?;
            self.counters.forward(counted);
            return Some(Some(stats));
        }
        if !self.blocks.is_first(binding) {
            return Some(None);
        }
        self.blocks.set_counter(binding.owner, context.counter);
        let stats = self.table.stats(binding.owner, cookie)?;
        self.counters.forward(stats.delta);
        Some(Some(stats))
    }

    /// Takes the flows out for which `pred` holds. `net` is the namespace they are in. Returns how
    /// many they were.
    pub fn flush(&mut self, net: &Net<P>, pred: impl Fn(&Record) -> bool) -> usize {
        self.remove(Scope::Direction, Some(net), &|_, record| pred(record))
    }

    /// As [`Engine::flush`], for flows that rules of tc have brought.
    pub fn flush_subflows(&mut self, pred: &dyn Fn(&Record) -> bool) -> usize {
        self.remove(Scope::Direction, None, &|blocks, record| {
            !blocks.has(record.owner) && pred(record)
        })
    }

    #[inline(never)]
    pub(super) fn remove(
        &mut self,
        scope: Scope,
        net: Option<&Net<P>>,
        // One copy of this is enough.
        pred: &dyn Fn(&Blocks<P>, &Record) -> bool,
    ) -> usize {
        let mut removed = 0_usize;
        let (blocks, filters, conntrack) = (&self.blocks, &mut self.filters, &self.conntrack);
        let counters = &mut self.counters;
        self.table.remove(
            scope,
            |record| pred(blocks, record),
            |record| {
                removed = removed.saturating_add(1);
                inc(&mut counters.flushed);
                let counter = blocks.has_counter(record.owner);
                counters.account_residual(conntrack, net, counter, record);
                filters.forget(record);
            },
        );
        removed
    }

    fn count_rejected(&mut self, owner: Option<BlockId>, rule: &RejectedRule) {
        inc(&mut self.counters.rejected);
        self.table.host.rejected(owner, rule);
    }
}

/// What stands in the way of a flow that the chip could forward.
struct Admission<'a, P: Platform> {
    ports: &'a Ports<P>,
    policy: &'a Policy,
    obstacles: &'a Obstacles,
    paused: bool,
}

impl<P: Platform> Admission<'_, P> {
    #[inline]
    fn admit(&self, flow: &Flow) -> Result<(), Reject> {
        if !self.ports.is_up(flow.ingress) || !self.ports.is_up(flow.egress) {
            return Err(Reject::PortDown);
        }
        self.policy.admit(flow)?;
        self.obstacles.admit(flow)?;
        if self.paused {
            return Err(Reject::Paused);
        }
        Ok(())
    }
}
