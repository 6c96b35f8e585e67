// SPDX-License-Identifier: GPL-2.0-only

//! Flows that end before the kernel says so.

use super::{
    super::{
        block::FlowTableId,
        count::inc,
        netdev::NetId,
        platform::Storage,
        revalidate::{
            pending::{
                ChangeSet,
                Verdict, //
            },
            FlowPath, //
        },
        table::{
            Record,
            Scope,
            Unbound, //
        }, //
    },
    Context,
    Engine,
    Net,
    Platform, //
};

/// Connections that one step of a walk ends, at most: what the engine's lock is held for. To remove
/// one of the four directions takes at most 12 register accesses of NETSYS.
pub const ENDED_AT_A_TIME: usize = 2;

/// One direction of a connection that a flowtable has.
pub trait Direction {
    /// The name of its rule.
    fn cookie(&self) -> u64;
    /// Whether a command for its flow, this direction or the other, is on its way to the drivers.
    fn is_pending(&self) -> bool;
}

/// A direction of which the kernel may be asked.
pub trait Routed: Direction {
    /// Its path, where the flowtable does not ask the neighbour table for each packet.
    fn path(&self) -> Option<FlowPath>;
    /// Whether the kernel would choose the same path now.
    fn is_current(&self) -> bool;
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
    fn end_flows(&self, pred: &mut dyn FnMut([&Self::Direction; 2]) -> bool);
}

/// One connection that a step of a walk has ended in nf_flowtable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EndedConnection {
    cookies: [u64; 2],
    pending: bool,
}

impl EndedConnection {
    /// Each cookie, and whether a command for it is on its way.
    fn cookies(&self) -> impl Iterator<Item = (u64, bool)> {
        let pending = self.pending;
        self.cookies
            .into_iter()
            .map(move |cookie| (cookie, pending))
    }
}

/// Connections that a step of a walk has ended in nf_flowtable, and that the engine still has.
#[derive(Clone, Copy, Debug)]
pub struct EndedConnections {
    all: [EndedConnection; ENDED_AT_A_TIME],
    len: usize,
}

impl EndedConnections {
    /// None.
    pub const NONE: Self = Self {
        all: [EndedConnection {
            cookies: [0; 2],
            pending: false,
        }; ENDED_AT_A_TIME],
        len: 0,
    };

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the connection of these directions of a flowtable in `net` has to end after
    /// `changes`. Remembers it then; without room, the connection has to wait for the next step.
    ///
    /// Called without the engine's lock.
    pub fn revalidate<D: Routed, S: Storage>(
        &mut self,
        net: NetId,
        changes: &ChangeSet<S>,
        directions: [&D; 2],
    ) -> bool {
        let [there, back] = directions;
        let paths = [there.path(), back.path()];
        let [there_path, back_path] = &paths;
        let is_wrong = is_wrong(net, changes, there, there_path, back_path)
            || is_wrong(net, changes, back, back_path, there_path);
        is_wrong && self.push(directions)
    }

    fn push<D: Direction>(&mut self, directions: [&D; 2]) -> bool {
        let Some(place) = self.all.get_mut(self.len) else {
            return false;
        };
        *place = EndedConnection {
            cookies: directions.map(Direction::cookie),
            pending: directions.into_iter().any(Direction::is_pending),
        };
        self.len = self.len.saturating_add(1);
        true
    }
}

/// Whether a direction with a path is wrong after changes, whose reverse has the path `back`.
fn is_wrong<D: Routed, S: Storage>(
    net: NetId,
    changes: &ChangeSet<S>,
    direction: &D,
    path: &Option<FlowPath>,
    back: &Option<FlowPath>,
) -> bool {
    let Some(path) = path else { return false };
    let ingress = back.as_ref().map(|back| back.ifindex);
    match changes.verdict(net, path, ingress) {
        Verdict::Keep => false,
        Verdict::Ask => !direction.is_current(),
        Verdict::End => true,
    }
}

impl<P: Platform> Engine<P> {
    /// A walk over the flows begins, because of `events`.
    pub fn begin_walk(&mut self, events: u64) {
        self.counters.moves = self.counters.moves.saturating_add(events);
        self.counters.walks = self.counters.walks.saturating_add(1);
    }

    /// A step of a walk has held the engine's lock for so long.
    pub fn note_hold(&mut self, us: u64) {
        self.counters.walk_hold_us = self.counters.walk_hold_us.max(us);
    }

    /// Removes what a step of a walk has ended in nf_flowtable, and refuses it if it is offered.
    pub fn remove_ended(
        &mut self,
        flowtable: FlowTableId,
        context: &Context<'_, P>,
        ended: &mut EndedConnections,
    ) {
        let connections = ended.all.iter().take(ended.len);
        ended.len = 0;
        let Some(owner) = self.owner_of(flowtable) else {
            return;
        };
        self.blocks.set_counter(owner, context.counter);
        for (cookie, pending) in connections.flat_map(EndedConnection::cookies) {
            // In the table or not: the kernel may be about to offer it with its old path.
            if pending {
                self.cancelled.add(owner, cookie);
            }
            if let Some(removed) = self.table.remove_one(owner, cookie, Unbound::Revalidated) {
                let counters = &mut self.counters;
                inc(&mut counters.flushed);
                inc(&mut counters.moved);
                let (net, counter) = (Some(context.net), context.counter);
                counters.account_residual(&self.conntrack, net, counter, removed);
            }
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
        pred: &dyn Fn(&Record) -> bool,
    ) -> usize {
        let Some(owner) = self.owner_of(flowtable.id()) else {
            return 0;
        };
        let holds = |record: &Record| record.owner == owner && pred(record);
        if !self.table.iter().any(|(_, record)| holds(record)) {
            return 0;
        }
        self.blocks.set_counter(owner, flowtable.has_counter());
        let (table, cancelled) = (&self.table, &mut self.cancelled);
        let is_meant = |direction: &F::Direction| {
            let at = table.find(owner, direction.cookie());
            at.and_then(|at| table.get(at)).is_some_and(holds)
        };
        flowtable.end_flows(&mut |directions| {
            let meant = directions.into_iter().any(is_meant);
            if meant && directions.into_iter().any(Direction::is_pending) {
                for cookie in directions.map(Direction::cookie) {
                    cancelled.add(owner, cookie);
                }
            }
            meant
        });
        let net = flowtable.net().0;
        self.remove(Scope::Connection, Some(net), &|_, record| holds(record))
    }
}
