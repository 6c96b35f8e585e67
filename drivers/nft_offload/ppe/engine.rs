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
    bridge::{
        rule::Rule,
        rules::{
            Record as FilterRecord,
            Rules,
            Subflow,
            RULES,
            SUBFLOWS, //
        },
        Sighting, //
    },
    count::inc,
    flow::{
        Flow,
        PsePort, //
    },
    health::{
        Health,
        Verdict, //
    },
    hw::{
        Hw,
        Lifecycle, //
    },
    list::Full,
    netdev::NetId,
    platform::{
        Conntrack,
        HwError, //
    },
    policy::Policy,
    ports::{
        Changes,
        DeviceEvent,
        Port,
        Ports, //
    },
    reject::Reject,
    reject_log::{
        RejectLog,
        RejectedRule, //
    },
    revalidate::{
        CancelledOffers,
        Change,
        ChangeSet,
        FlowPath,
        FwdEvent,
        NeighTable,
        NeighUpdate,
        Neighbour,
        Pending, //
    },
    rule::RuleParser,
    shaping::{
        Place,
        Shapers,
        Shaping, //
    },
    spec::Spec,
    table::{
        index_len,
        spares,
        BlockId,
        Host,
        Record,
        Removal,
        Replaced,
        Stats,
        Table, //
    }, //
};

/// Neighbours that are known, at most: the kernel keeps at most 1,024 of each family
/// (`gc_thresh3`) unless it is told otherwise.
const NEIGHBOURS: usize = 2048;

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

    /// The engine does not answer any more.
    fn quarantined(&self, chip: &str) {
        let _ = chip;
    }
}

/// A namespace as the platform has it.
pub type Net<P> = <<P as Platform>::Conntrack as Conntrack>::Net;

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

/// Device that has a neighbour, by namespace and interface index.
type NeighbourAt = (NetId, i32);

/// An engine.
pub struct Engine<P: Platform> {
    /// Its flows, and its hardware.
    pub table: Table<P>,
    /// Its ports.
    pub ports: Ports<P>,
    pub(super) blocks: Blocks<P>,
    pub(super) filters: Rules<P>,
    pub(super) counters: Counters,
    pub(super) policy: Policy,
    pub(super) shaping: Shaping,
    pub(super) health: Health,
    pub(super) rejects: RejectLog<P>,
    pub(super) neighbours: NeighTable<P::Vec<Option<Neighbour<NeighbourAt>>>>,
    pub(super) cancelled: CancelledOffers<P::Vec<Option<(BlockId, u64)>>>,
    pub(super) conntrack: P::Conntrack,
    pub(super) audits: AuditRuns,
    /// Where a rule is parsed to.
    flow: Flow,
    /// New flows are kept in software.
    pub(super) paused: bool,
    /// No entry is valid, as the engine did not answer.
    quarantined: bool,
    /// When the subflows were last looked at.
    aged_ms: u64,
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
            filters: Rules::new(
                P::filled(FilterRecord::EMPTY, RULES)?,
                P::filled(Subflow::EMPTY, SUBFLOWS)?,
            )?,
            counters: Counters::default(),
            policy,
            shaping: Shaping::NONE,
            health: Health::default(),
            rejects: RejectLog::new()?,
            neighbours: NeighTable::new(P::filled(None, NEIGHBOURS)?),
            cancelled: CancelledOffers::new(P::filled(None, ENDED)?),
            conntrack,
            audits: AuditRuns::default(),
            flow: Flow::NONE,
            paused: false,
            quarantined: false,
            aged_ms: 0,
        })
    }

    /// The chip.
    pub fn spec(&self) -> &'static Spec {
        self.table.spec()
    }

    /// Whether there is anything that could be offloaded.
    pub fn has_work(&self) -> bool {
        self.blocks.count() > 0 || self.filters.rules_stats().rules > 0
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
            self.counters.foreign_devices = self.counters.foreign_devices.saturating_add(1);
            return Err(BindError::Foreign);
        };
        Ok(self.blocks.bind(table, port, counter)?)
    }

    /// Binds a device to rules of tc.
    pub fn bind_ingress(&mut self, ifindex: i32, net: NetId) -> Result<Binding, BindError> {
        let port = self.ports.port_of(ifindex, net).ok_or(BindError::Foreign)?;
        Ok(self.blocks.bind_ingress(port)?)
    }

    /// Ends a binding, and takes out what is of the device: all of the flowtable with its last
    /// one.
    pub fn unbind(&mut self, binding: &Binding, net: &Net<P>) {
        let (owner, port) = (binding.owner, binding.port);
        match binding.to {
            BoundTo::Ingress => {
                let counted = self.filters.remove_owner(&mut self.table, owner);
                self.counters.forward(counted);
            }
            BoundTo::FlowTable { .. } => {
                let Some(last) = self.blocks.unbind(binding) else {
                    return;
                };
                self.flush(net, |record| {
                    record.owner == owner && (last || record.flow.uses(port))
                });
            }
        }
    }
}

/// Flows of flowtables.
impl<P: Platform> Engine<P> {
    /// A rule is offered, which `feed` gives to the parser; `None` if another device of its
    /// flowtable handles it. What was refused is counted, with what `describe` says of it.
    pub fn replace(
        &mut self,
        binding: &Binding,
        net: &Net<P>,
        cookie: u64,
        feed: impl FnOnce(&mut RuleParser<'_>, &Ports<P>) -> Result<(), Reject>,
        describe: impl FnOnce(Reject) -> RejectedRule,
    ) -> Option<Result<Replaced, Reject>> {
        if !self.blocks.is_first(binding) {
            return None;
        }
        self.counters.offered = self.counters.offered.saturating_add(1);
        let replaced = self.offer(binding, net, cookie, feed);
        if let Err(reject) = replaced {
            let rule = describe(reject);
            self.rejects.add(&rule, self.table.host.now_ms());
            self.count_rejected(Some(binding.owner), &rule);
        }
        Some(replaced)
    }

    /// The way of a rule into the hardware.
    fn offer(
        &mut self,
        binding: &Binding,
        net: &Net<P>,
        cookie: u64,
        feed: impl FnOnce(&mut RuleParser<'_>, &Ports<P>) -> Result<(), Reject>,
    ) -> Result<Replaced, Reject> {
        let owner = binding.owner;
        if self.cancelled.take(owner, cookie) {
            return Err(Reject::Ended);
        }
        if !self.table.hw.is_alive() {
            return Err(Reject::EngineDead);
        }

        let mut parser = RuleParser::new(&mut self.flow);
        let parsed = feed(&mut parser, &self.ports).and_then(|()| parser.finish());
        if let Err(reject) = parsed {
            if let Some(key) = parser.opposite_of_8021ad() {
                self.table.refuse(owner, &key);
            }
            return Err(reject);
        }

        let flow = &self.flow;
        if flow.out_encap.pppoe.is_some() {
            self.ports.mark_pppoe(flow.egress.port);
        }
        let admission = Admission {
            ports: &self.ports,
            policy: &self.policy,
            shaping: &self.shaping,
            paused: self.paused && self.table.find(owner, cookie).is_none(),
        };
        admission.admit(flow)?;

        let id = match binding.to {
            BoundTo::FlowTable { counter: true } => self.conntrack.offloaded(net, flow),
            _ => None,
        };
        self.table.replace(owner, cookie, id.unwrap_or(0), flow)
    }

    /// A flow ends. `None` if it is not known.
    pub fn destroy(&mut self, binding: &Binding, net: &Net<P>, cookie: u64) -> Option<()> {
        if binding.to == BoundTo::Ingress {
            return self.remove_filter(binding, cookie);
        }
        self.cancelled.take(binding.owner, cookie);
        // Whichever binding it comes by: the first one may be leaving the flowtable, and then
        // none that comes later would take the flow out.
        let removed = self.table.destroy(binding.owner, cookie)?;
        self.counters.destroyed = self.counters.destroyed.saturating_add(1);
        self.counters
            .account_residual(&self.conntrack, Some(net), removed);
        Some(())
    }

    /// What a flow or rule has carried since it was last asked for, and when it was last used.
    /// `None` if it is not known, and nothing if another device of its flowtable is asked, too.
    pub fn stats(&mut self, binding: &Binding, cookie: u64) -> Option<Option<Stats>> {
        if binding.to == BoundTo::Ingress {
            let (stats, counted) = self.filters.stats(&mut self.table, binding.owner, cookie)?;
            self.counters.forward(counted);
            return Some(Some(stats));
        }
        if !self.blocks.is_first(binding) {
            return Some(None);
        }
        let stats = self.table.stats(binding.owner, cookie)?;
        self.counters.forward(stats.delta);
        Some(Some(stats))
    }

    /// Takes the flows out for which `pred` holds. `net` is the namespace they are in. Returns how
    /// many they were.
    pub fn flush(&mut self, net: &Net<P>, pred: impl Fn(&Record) -> bool) -> usize {
        self.remove(Removal::Flows, Some(net), &|_, record| pred(record))
    }

    /// As [`Engine::flush`], for flows that rules of tc have brought.
    pub fn flush_subflows(&mut self, pred: impl Fn(&Record) -> bool) -> usize {
        self.remove(Removal::Flows, None, &|blocks, record| {
            !blocks.has(record.owner) && pred(record)
        })
    }

    pub(super) fn remove(
        &mut self,
        removal: Removal,
        net: Option<&Net<P>>,
        // One copy of this is enough.
        pred: &dyn Fn(&Blocks<P>, &Record) -> bool,
    ) -> usize {
        let mut removed = 0_usize;
        let (blocks, filters, conntrack) = (&self.blocks, &mut self.filters, &self.conntrack);
        let counters = &mut self.counters;
        self.table.remove(
            removal,
            |record| pred(blocks, record),
            |record| {
                removed = removed.saturating_add(1);
                counters.flushed = counters.flushed.saturating_add(1);
                counters.account_residual(conntrack, net, record);
                filters.forget(record);
            },
        );
        removed
    }

    fn count_rejected(&mut self, owner: Option<BlockId>, rule: &RejectedRule) {
        self.counters.rejected = self.counters.rejected.saturating_add(1);
        self.table.host.rejected(owner, rule);
    }
}

/// What stands in the way of a flow that the chip could forward.
struct Admission<'a, P: Platform> {
    ports: &'a Ports<P>,
    policy: &'a Policy,
    shaping: &'a Shaping,
    paused: bool,
}

impl<P: Platform> Admission<'_, P> {
    #[inline]
    fn admit(&self, flow: &Flow) -> Result<(), Reject> {
        if !self.ports.is_up(flow.ingress) || !self.ports.is_up(flow.egress) {
            return Err(Reject::PortDown);
        }
        self.policy.admit(flow)?;
        self.shaping.admit(flow)?;
        if self.paused {
            return Err(Reject::Paused);
        }
        Ok(())
    }
}

/// What tc says of a rule besides keys and actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRule {
    /// Its name.
    pub cookie: u64,
    /// Of rules for the same frames the one with the lowest number counts.
    pub prio: u32,
    /// The chain it is in; packets begin in chain 0.
    pub chain: u32,
    /// Its frames have to be counted.
    pub demands_counters: bool,
}

/// Rules of tc, for bridged frames.
impl<P: Platform> Engine<P> {
    /// A rule of tc is offered, given by `parse`. What was refused is counted, with what `describe`
    /// says of it.
    pub fn replace_filter(
        &mut self,
        binding: &Binding,
        filter: &FilterRule,
        parse: impl FnOnce(&Ports<P>) -> Result<Rule, Reject>,
        describe: impl FnOnce(Reject) -> RejectedRule,
    ) -> Result<(), Reject> {
        self.counters.offered = self.counters.offered.saturating_add(1);
        let rule = if !self.table.hw.is_alive() {
            Err(Reject::EngineDead)
        } else if filter.chain != 0 {
            Err(Reject::Chain)
        } else {
            parse(&self.ports)
        };
        let inserted = rule.and_then(|rule| {
            if filter.demands_counters && self.spec().caps.mib.is_none() {
                return Err(Reject::NoCounters);
            }
            let flows = self.blocks.new_owner().map_err(|Full| Reject::TableFull)?;
            let (table, owner) = (&mut self.table, binding.owner);
            self.filters
                .insert(table, owner, filter.cookie, flows, filter.prio, &rule)
        });
        match inserted {
            Ok(counted) => {
                self.counters.forward(counted);
                Ok(())
            }
            Err(reject) => {
                self.rejects.count(reject, self.table.host.now_ms());
                self.count_rejected(Some(binding.owner), &describe(reject));
                Err(reject)
            }
        }
    }

    fn remove_filter(&mut self, binding: &Binding, cookie: u64) -> Option<()> {
        let counted = self
            .filters
            .remove(&mut self.table, binding.owner, cookie)?;
        self.counters.destroyed = self.counters.destroyed.saturating_add(1);
        self.counters.forward(counted);
        Some(())
    }

    /// The rules.
    pub fn filters(&self) -> &Rules<P> {
        &self.filters
    }

    /// Gives a connection of which enough frames were seen its entry.
    pub fn bind_seen(&mut self, seen: &Sighting) {
        let admission = Admission {
            ports: &self.ports,
            policy: &self.policy,
            shaping: &self.shaping,
            paused: self.paused,
        };
        let check = |flow: &Flow| admission.admit(flow);
        let Err(reject) = self.filters.bind(&mut self.table, seen, check) else {
            return;
        };
        self.rejects.count(reject, self.table.host.now_ms());
        let rule = RejectedRule {
            reject,
            ip_proto: seen.l4.ip_proto(),
            tuple: Some(seen.tuple),
            ingress: None,
            egress: None,
        };
        self.table.host.rejected(None, &rule);
    }

    /// Ends subflows that are idle, now and then. Returns whether there are any left.
    pub fn age_subflows(&mut self) -> bool {
        let now_ms = self.table.host.now_ms();
        if now_ms.saturating_sub(self.aged_ms) >= AGE_EVERY_MS {
            self.aged_ms = now_ms;
            let counted = self.filters.age(&mut self.table);
            self.counters.forward(counted);
        }
        self.filters.rules_stats().subflows > 0
    }
}

/// Devices and what they do.
impl<P: Platform> Engine<P> {
    /// Something happened to a device, which is in `net`.
    pub fn on_device_event(&mut self, net: &Net<P>, event: &DeviceEvent) -> Changes {
        let changes = self.ports.on_event(event);
        if let Some(port) = changes.down {
            self.flush(net, |record| record.flow.uses(port));
        }
        if let Some(gone) = changes.switch_down {
            self.flush(net, |record| {
                record.flow.ingress == gone || record.flow.egress == gone
            });
        }
        if changes.mtu {
            self.update_mtu();
        }
        changes
    }

    fn update_mtu(&mut self) {
        let mtu = self.ports.mtu();
        let _ = self.table.hw.set_mtu(mtu);
    }

    /// Forgets where traffic is shaped, which is to be found out now. Returns what was known;
    /// `None` if it need not be found out.
    pub fn begin_scan(&mut self) -> Option<Shapers> {
        let before = self.shaping.take();
        (self.policy.refuse_shaped && self.has_work()).then_some(before)
    }

    /// Traffic is shaped in namespace `net` at `found`. Flows that pass there leave the hardware,
    /// unless that was known `before`.
    pub fn shaped(&mut self, net: &Net<P>, before: &Shapers, found: &Shapers) {
        if !found.are_among(before) {
            self.flush(net, |record| found.pass(&record.flow));
        }
        self.shaping.add(found);
    }

    /// Whether the log has to be told that traffic is shaped there.
    pub fn warn_once(&mut self, place: Place) -> bool {
        self.shaping.warn_once(place)
    }
}

/// The hardware.
impl<P: Platform> Engine<P> {
    fn pse_ports(ports: &Ports<P>) -> impl Iterator<Item = PsePort> + '_ {
        ports.own().iter().map(|port| port.pse)
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<(), HwError> {
        let started = self.table.hw.start(Self::pse_ports(&self.ports));
        // One that did not start is no news later.
        self.quarantined = started.is_err();
        started
    }

    /// Stops it. Fails if it does not answer, which is no news if it did not before.
    pub fn stop(&mut self) -> Result<(), HwError> {
        let known = !self.table.hw.is_alive();
        match self.table.hw.stop() {
            Err(HwError) if known => Ok(()),
            stopped => stopped,
        }
    }

    /// To be called at the end of all that was done under one lock: if the engine stopped answering
    /// meanwhile, no entry of its table stays valid. Returns whether it did.
    pub fn quarantine(&mut self) -> bool {
        let news = !self.table.hw.is_alive() && !self.quarantined;
        if news {
            self.quarantined = true;
            self.counters.quarantined = self.counters.quarantined.saturating_add(1);
            let name = self.spec().name;
            self.table.host.quarantined(name);
            self.invalidate_all();
        }
        news
    }

    /// No entry of the table is valid after that, whether the engine answers or not.
    fn invalidate_all(&mut self) {
        for slot in (0..=u16::MAX).take(self.table.capacity()) {
            let _ = self.table.hw.invalidate(slot);
        }
        self.table.mark_all_unbound();
    }

    /// Looks whether the engine runs, and starts it again, empty, if it answers and does not. All
    /// flows have to be taken out then, by [`Verdict::Restarted`].
    pub fn look_after(&mut self) -> Verdict {
        let running = self.table.hw.check();
        let now_ms = self.table.host.now_ms();
        match running {
            Err(HwError) => return Verdict::Silent,
            Ok(true) if self.table.hw.is_alive() => return Verdict::Running,
            Ok(_) if !self.health.may_start(now_ms) => return Verdict::Waiting,
            Ok(_) => {}
        }
        self.invalidate_all();
        if self.table.hw.restart(Self::pse_ports(&self.ports)).is_err() {
            return Verdict::Failed;
        }
        self.quarantined = false;
        self.counters.restarted = self.counters.restarted.saturating_add(1);
        self.update_mtu();
        Verdict::Restarted
    }
}

/// One direction of a connection that a flowtable has.
pub trait Direction {
    /// The name of its rule.
    fn cookie(&self) -> u64;
    /// Whether a command for its flow, this direction or the other, is on its way to the drivers.
    fn is_pending(&self) -> bool;
    /// Its path, where the flowtable does not ask the neighbour table for each packet, and the
    /// interface it leaves by.
    fn path(&self) -> Option<(FlowPath, i32)>;
}

/// A flowtable.
pub trait FlowTable {
    /// A namespace.
    type Net: ?Sized;
    /// A direction of a connection.
    type Direction: Direction;

    /// Which one.
    fn id(&self) -> FlowTableId;
    /// The namespace it is in.
    fn net(&self) -> (&Self::Net, NetId);
    /// Ends the connections for which `pred` holds, which gets both directions.
    fn end_flows(&self, pred: impl FnMut([&Self::Direction; 2]) -> bool);
}

/// Flows that end before the kernel says so.
impl<P: Platform> Engine<P> {
    /// Looks at what was told, and adds what that means for the engine's flows to `changes`.
    pub fn take_pending(&mut self, pending: &mut Pending<P>, changes: &mut ChangeSet<P>) {
        for (net, event) in pending.events() {
            inc(&mut self.counters.moves);
            for change in self.changes_of(*net, event).into_iter().flatten() {
                changes.add(*net, change);
            }
        }
        if pending.is_lost() {
            inc(&mut self.counters.moves_lost);
            changes.add_any();
        }
        pending.clear();
    }

    fn changes_of(&mut self, net: NetId, event: &FwdEvent) -> [Option<Change>; 2] {
        match *event {
            FwdEvent::Neighbour { ifindex, addr, mac } => {
                let now = Some(Change::Neighbour(addr, mac));
                match self.neighbours.learn((net, ifindex), addr, mac) {
                    NeighUpdate::Unchanged => [None; 2],
                    NeighUpdate::New => [now, None],
                    NeighUpdate::Changed(before) => [now, Some(Change::LladdrGone(before))],
                }
            }
            FwdEvent::FdbEntry { ifindex, mac } => {
                let at = self.ports.find(ifindex, net);
                [Some(Change::FdbEntry(mac, at)), None]
            }
            FwdEvent::Route { addr, len } => [Some(Change::Route(addr, len)), None],
            FwdEvent::NextHopObject => [Some(Change::All), None],
        }
    }

    /// Takes the flows of a flowtable out for which `pred` holds. They go on in software.
    pub fn flush_table<F: FlowTable<Net = Net<P>>>(
        &mut self,
        flowtable: &F,
        pred: impl Fn(&Record) -> bool,
    ) {
        if let Some(owner) = self.owner_of(flowtable.id()) {
            self.flush(flowtable.net().0, |record| {
                record.owner == owner && pred(record)
            });
        }
    }

    /// Ends the connections of a flowtable for which `pred` holds, for one direction at least, in
    /// nf_flowtable and in the hardware. Returns how many flows there were in the latter.
    pub fn end_in<F: FlowTable<Net = Net<P>>>(
        &mut self,
        flowtable: &F,
        pred: impl Fn(&Record) -> bool,
    ) -> usize {
        let Some(owner) = self.owner_of(flowtable.id()) else {
            return 0;
        };
        let holds = |record: &Record| record.owner == owner && pred(record);
        if !self.table.iter().any(|(_, record)| holds(record)) {
            return 0;
        }
        self.end(flowtable, owner, Removal::Connections, &holds, None)
    }

    /// Ends the connections of a flowtable that may go the wrong way after `changes`: also those
    /// that are not in the hardware and may be about to be offered.
    pub fn revalidate<F: FlowTable<Net = Net<P>>>(
        &mut self,
        flowtable: &F,
        changes: &ChangeSet<P>,
    ) {
        let Some(owner) = self.owner_of(flowtable.id()) else {
            return;
        };
        let net = flowtable.net().1;
        let holds = |record: &Record| record.owner == owner && changes.concerns(net, record);
        let invalid = |path: &FlowPath| changes.invalidates(net, path);
        let ended = self.end(flowtable, owner, Removal::Moved, &holds, Some(&invalid));
        let ended = u64::try_from(ended).unwrap_or(u64::MAX);
        self.counters.moved = self.counters.moved.saturating_add(ended);
    }

    fn end<F: FlowTable<Net = Net<P>>>(
        &mut self,
        flowtable: &F,
        owner: BlockId,
        removal: Removal,
        holds: &dyn Fn(&Record) -> bool,
        invalid: Option<&dyn Fn(&FlowPath) -> bool>,
    ) -> usize {
        let (net, net_id) = flowtable.net();
        let (table, ports, cancelled) = (&self.table, &self.ports, &mut self.cancelled);
        let is_meant = |direction: &F::Direction| {
            let at = table.find(owner, direction.cookie());
            at.and_then(|at| table.get(at)).is_some_and(holds)
                || invalid.is_some_and(|invalid| {
                    direction.path().is_some_and(|(mut path, ifindex)| {
                        path.egress = ports.find(ifindex, net_id);
                        invalid(&path)
                    })
                })
        };
        flowtable.end_flows(|directions| {
            let meant = directions.into_iter().any(is_meant);
            if meant && directions.iter().any(|direction| direction.is_pending()) {
                // One that is not here may be about to be offered, from the kernel's queue.
                for cookie in directions.map(Direction::cookie) {
                    if table.find(owner, cookie).is_none() {
                        cancelled.add(owner, cookie);
                    }
                }
            }
            meant
        });
        self.remove(removal, Some(net), &|_, record| holds(record))
    }
}
