// SPDX-License-Identifier: GPL-2.0-only

//! Flows that end before the kernel says so.

use super::{
    super::{
        block::FlowTableId,
        count::inc,
        netdev::NetId,
        revalidate::{
            Change,
            ChangeSet,
            FlowPath,
            FwdEvent,
            NeighUpdate,
            Pending, //
        },
        table::{
            BlockId,
            Record,
            Scope,
            Unbound, //
        }, //
    },
    Engine,
    Net,
    Platform, //
};

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
    /// Whether the ruleset asks for counters.
    fn has_counter(&self) -> bool;
    /// Ends the connections for which `pred` holds, which gets both directions.
    fn end_flows(&self, pred: impl FnMut([&Self::Direction; 2]) -> bool);
}

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
            self.blocks.set_counter(owner, flowtable.has_counter());
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
        self.end(flowtable, owner, Unbound::Flushed, &holds, None)
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
        let ended = self.end(
            flowtable,
            owner,
            Unbound::Revalidated,
            &holds,
            Some(&invalid),
        );
        let ended = u64::try_from(ended).unwrap_or(u64::MAX);
        self.counters.moved = self.counters.moved.saturating_add(ended);
    }

    fn end<F: FlowTable<Net = Net<P>>>(
        &mut self,
        flowtable: &F,
        owner: BlockId,
        why: Unbound,
        holds: &dyn Fn(&Record) -> bool,
        invalid: Option<&dyn Fn(&FlowPath) -> bool>,
    ) -> usize {
        self.blocks.set_counter(owner, flowtable.has_counter());
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
        self.remove(Scope::Connection, why, Some(net), &|_, record| {
            holds(record)
        })
    }
}
