// SPDX-License-Identifier: GPL-2.0-only

//! Flows whose way has changed: a neighbour has another Ethernet address, a host is at another
//! port, a route leads elsewhere.
//!
//! Locking: [`Follower::told`] is taken by whoever changes something, from softirqs too, and no
//! other lock inside of it. [`Settler`] takes `RTNL`, and holds nothing meanwhile.

use crate::{
    engine::{
        Engine,
        PortsIn,
        State, //
    },
    parse::Ports,
    ppe::{
        moved::{
            Change,
            Ended,
            Neighbour,
            Neighbours,
            News,
            Way, //
        },
        table::{
            Owner,
            Record,
            Removal, //
        }, //
    },
    rust::{
        flow_offload,
        moves::{
            self,
            Move,
            Watch, //
        },
        netdev::NetId,
        softirq::BhLock,
        work::{
            Task,
            Work, //
        }, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// Changes that wait to be looked at, at most.
const WAITING: usize = 512;

/// Changes that wait to be followed once more, at most: each flow is compared with all of them.
/// As many as may be followed at once.
const UNSETTLED: usize = 2 * WAITING + 1;

/// Neighbours that are known, at most: the kernel keeps at most 1,024 of each family
/// (`gc_thresh3`) unless it is told otherwise.
const NEIGHBOURS: usize = 2048;

/// Directions of flows that have ended and may be offered yet, at most.
const ENDED: usize = 2048;

/// A device, by its namespace and interface index.
type Place = (NetId, i32);

/// Which ways of a namespace are meant.
pub(crate) type Leads<'a> = &'a dyn Fn(NetId, &Way) -> bool;

/// All neighbours of which the kernel told.
pub(crate) type Known = Neighbours<VVec<Option<Neighbour<Place>>>>;

/// No neighbours yet.
pub(crate) fn nobody() -> Result<Known> {
    let places = VVec::from_elem(None, NEIGHBOURS, GFP_KERNEL)?;
    Ok(Neighbours::new(places))
}

/// The directions of flows that have ended and may be offered yet.
pub(crate) type EndedEarly = Ended<VVec<Option<(Owner, u64)>>>;

/// None of them yet.
pub(crate) fn none_ended() -> Result<EndedEarly> {
    let places = VVec::from_elem(None, ENDED, GFP_KERNEL)?;
    Ok(Ended::new(places))
}

/// What was told and was not looked at yet.
struct Told {
    moves: KVVec<Move>,
    /// There was no room for more.
    lost: bool,
}

impl Told {
    fn new() -> Result<Self> {
        Ok(Self {
            moves: KVVec::with_capacity(WAITING, GFP_KERNEL)?,
            lost: false,
        })
    }
}

/// A change of which flows are to end.
struct Followed {
    /// In a namespace, or in any.
    net: Option<NetId>,
    change: Change,
}

/// Nothing is known of what has changed.
const ANY: Followed = Followed {
    net: None,
    change: Change::All,
};

/// Changes that wait to be followed once more.
struct Unsettled {
    changes: KVVec<Followed>,
    /// There were more, of which nothing is known: all flows are to end.
    any: bool,
}

/// Follows changes once more when they are in place. Flows that had ended and came back before
/// have the old way, and so have those for which a packet found it just before the change was told.
#[pin_data]
struct Settler {
    #[pin]
    unsettled: Mutex<Unsettled>,
    engine: Arc<Engine>,
}

/// Ends the flows that go the wrong way after a change.
#[pin_data]
pub(crate) struct Follower {
    #[pin]
    told: BhLock<Told>,
    settler: Arc<Settler>,
    settling: Arc<Work<Settler>>,
}

/// Has an engine follow what the kernel tells.
pub(crate) struct Teller {
    follower: Arc<Follower>,
    work: Arc<Work<Follower>>,
}

impl Teller {
    /// For `engine`.
    pub(crate) fn new(engine: Arc<Engine>) -> Result<Arc<Self>> {
        let told = Told::new()?;
        let settler = Arc::pin_init(
            pin_init!(Settler {
                unsettled <- new_mutex!(Unsettled::NONE, "nft_offload::Settler"),
                engine,
            }),
            GFP_KERNEL,
        )?;
        let settling = Arc::pin_init(Work::new(settler.clone()), GFP_KERNEL)?;
        let follower = Arc::pin_init(
            pin_init!(Follower {
                told <- BhLock::new(told),
                settler,
                settling,
            }),
            GFP_KERNEL,
        )?;
        let work = Arc::pin_init(Work::new(follower.clone()), GFP_KERNEL)?;
        Ok(Arc::new(Self { follower, work }, GFP_KERNEL)?)
    }
}

impl Watch for Teller {
    fn moved(&self, what: &Move) {
        self.follower.told.with(|told| {
            if told.moves.push_within_capacity(*what).is_err() {
                told.lost = true;
            }
        });
        self.work.request();
    }
}

/// A way as a flowtable has it.
pub(crate) fn way(way: &flow_offload::Way, ports: &PortsIn<'_>) -> Way {
    Way {
        src: way.src,
        dst: way.dst,
        new_src: way.new_src,
        new_dst: way.new_dst,
        dmac: way.dmac,
        pppoe: way.pppoe,
        egress: ports.by_ifindex(way.ifindex),
    }
}

impl State {
    /// What `what` means for the engine's flows.
    fn change_of(&mut self, what: &Move) -> [Option<Change>; 2] {
        let net = what.net;
        match what.change {
            moves::Change::Neighbour { ifindex, addr, mac } => {
                let news = self.neighbours.learn((net, ifindex), addr, mac);
                match news {
                    News::None => [None; 2],
                    News::New => [Some(Change::Neighbour(addr, mac)), None],
                    News::Changed(before) => [
                        Some(Change::Neighbour(addr, mac)),
                        Some(Change::NextHop(before)),
                    ],
                }
            }
            moves::Change::Station { ifindex, mac } => {
                let at = self.ports_in(net).by_ifindex(ifindex);
                [Some(Change::Station(mac, at)), None]
            }
            moves::Change::Route { addr, len } => [Some(Change::Route(addr, len)), None],
            moves::Change::NextHop => [Some(Change::All), None],
        }
    }
}

impl Follower {
    /// Takes what was told.
    fn take(&self) -> Result<KVVec<Followed>> {
        let fresh = Told::new()?;
        let told = self.told.with(|told| core::mem::replace(told, fresh));
        // For each move, two, and one for all that were lost.
        let mut changes = KVVec::with_capacity(2 * told.moves.len() + 1, GFP_KERNEL)?;
        self.settler.engine.with(|state| {
            for what in &told.moves {
                state.counters.moves += 1;
                for change in state.change_of(what).into_iter().flatten() {
                    changes.push_within_capacity(Followed {
                        net: Some(what.net),
                        change,
                    })?;
                }
            }
            if told.lost {
                state.counters.moves_lost += 1;
                changes.push_within_capacity(ANY)?;
            }
            Ok::<_, Error>(())
        })?;
        Ok(changes)
    }
}

impl Unsettled {
    const NONE: Self = Self {
        changes: KVVec::new(),
        any: false,
    };

    fn push(&mut self, changes: KVVec<Followed>) -> Result {
        if self.changes.len() + changes.len() > UNSETTLED {
            return Err(ENOSPC);
        }
        self.changes.reserve(changes.len(), GFP_KERNEL)?;
        for followed in changes {
            self.changes.push_within_capacity(followed)?;
        }
        Ok(())
    }

    fn push_any(&mut self) {
        self.changes.clear();
        self.any = true;
    }
}

impl Followed {
    fn is_in(&self, net: NetId) -> bool {
        self.net.is_none_or(|at| at == net)
    }
}

/// Ends the flows of `engine` that changes concern, in hardware and on the way to it.
fn end(engine: &Engine, changes: &[Followed]) {
    if changes.is_empty() {
        return;
    }
    let leads = |net, way: &Way| {
        changes
            .iter()
            .any(|followed| followed.is_in(net) && followed.change.leads_away(way))
    };
    let concerns = |net, record: &Record| {
        changes
            .iter()
            .any(|followed| followed.is_in(net) && followed.change.concerns(&record.flow))
    };
    let ended = engine.end(Removal::Moved, &concerns, Some(&leads));
    engine.with(|state| state.counters.moved += ended as u64);
}

impl Task for Follower {
    fn run(&self) -> Option<u64> {
        if let Ok(changes) = self.take() {
            if changes.is_empty() {
                return None;
            }
            end(&self.settler.engine, &changes);
            let mut unsettled = self.settler.unsettled.lock();
            if unsettled.push(changes).is_err() {
                unsettled.push_any();
            }
        } else {
            // Without memory nobody knows which ones.
            self.told.with(|told| told.moves.clear());
            self.settler
                .engine
                .with(|state| state.counters.moves_lost += 1);
            end(&self.settler.engine, &[ANY]);
            self.settler.unsettled.lock().push_any();
        }
        self.settling.request();
        None
    }
}

impl Task for Settler {
    fn run(&self) -> Option<u64> {
        let unsettled = core::mem::replace(&mut *self.unsettled.lock(), Unsettled::NONE);
        moves::settle();
        if unsettled.any {
            end(&self.engine, &[ANY]);
        } else {
            end(&self.engine, &unsettled.changes);
        }
        None
    }
}
