// SPDX-License-Identifier: GPL-2.0-only

//! Flows whose way has changed: a neighbour has another Ethernet address, a host is at another
//! port, a route leads elsewhere.
//!
//! Locking: [`Follower::told`] is taken by whoever changes something, from softirqs too, and no
//! other lock inside of it.

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
            Neighbour,
            Neighbours,
            News,
            Way, //
        },
        table::{
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
        time,
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

/// Neighbours that are known, at most: the kernel keeps at most 1,024 of each family
/// (`gc_thresh3`) unless it is told otherwise.
const NEIGHBOURS: usize = 2048;

/// A flow whose way was looked for just before a change may be bound after it was followed. So
/// it is followed once more after this time, in milliseconds, for flows bound since then.
const AGAIN_MS: u64 = 1_000;

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

/// A change that was followed, and what may have come too late for that.
struct Followed {
    /// In a namespace, or in any.
    net: Option<NetId>,
    change: Change,
    when_ms: u64,
}

/// Ends the flows that go the wrong way after a change.
#[pin_data]
pub(crate) struct Follower {
    #[pin]
    told: BhLock<Told>,
    /// What is followed once more.
    #[pin]
    again: Mutex<KVVec<Followed>>,
    engine: Arc<Engine>,
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
        let follower = Arc::pin_init(
            pin_init!(Follower {
                told <- BhLock::new(told),
                again <- new_mutex!(KVVec::new(), "nft_offload::Follower"),
                engine,
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
        let when_ms = time::now_ms();
        // For each move, two, and one for all that were lost.
        let mut changes = KVVec::with_capacity(2 * told.moves.len() + 1, GFP_KERNEL)?;
        self.engine.with(|state| {
            for what in &told.moves {
                state.counters.moves += 1;
                for change in state.change_of(what).into_iter().flatten() {
                    changes.push_within_capacity(Followed {
                        net: Some(what.net),
                        change,
                        when_ms,
                    })?;
                }
            }
            if told.lost {
                state.counters.moves_lost += 1;
                changes.push_within_capacity(Followed::all(when_ms))?;
            }
            Ok::<_, Error>(())
        })?;
        Ok(changes)
    }

    /// Ends the flows that changes concern, in hardware and on the way to it.
    fn end(&self, changes: &[Followed]) {
        let leads = |net, way: &Way| {
            let leads_away = |followed: &Followed| followed.change.leads_away(way);
            changes
                .iter()
                .any(|followed| followed.is_in(net) && leads_away(followed))
        };
        self.end_those(changes, &|_, _| true, Some(&leads));
    }

    /// Ends the flows in hardware that changes concern, of those for which `since` holds, and those
    /// whose way `leads` holds for.
    fn end_those(
        &self,
        changes: &[Followed],
        since: &dyn Fn(&Followed, &Record) -> bool,
        leads: Option<Leads<'_>>,
    ) {
        if changes.is_empty() {
            return;
        }
        let is_meant = |net, record: &Record| {
            changes.iter().any(|followed| {
                followed.is_in(net)
                    && followed.change.concerns(&record.flow)
                    && since(followed, record)
            })
        };
        let ended = self.engine.end(Removal::Moved, &is_meant, leads);
        self.engine
            .with(|state| state.counters.moved += ended as u64);
    }

    /// Follows what was followed before, if it is time. Returns when there is more to do.
    fn follow_again(&self) -> Option<u64> {
        let mut again = self.again.lock();
        let now_ms = time::now_ms();
        let due = |followed: &Followed| now_ms.saturating_sub(followed.when_ms) >= AGAIN_MS;
        // They are in the order in which they were told.
        let ripe = again.iter().take_while(|followed| due(followed)).count();
        self.end_those(
            again.get(..ripe).unwrap_or_default(),
            &|followed, record| record.since_ms >= followed.when_ms,
            None,
        );
        again.retain(|followed| !due(followed));
        let next_ms = again.first()?.when_ms + AGAIN_MS;
        Some(next_ms.saturating_sub(now_ms).max(1))
    }
}

impl Followed {
    /// Nothing is known of what has changed.
    fn all(when_ms: u64) -> Self {
        Self {
            net: None,
            change: Change::All,
            when_ms,
        }
    }

    fn is_in(&self, net: NetId) -> bool {
        self.net.is_none_or(|at| at == net)
    }
}

impl Task for Follower {
    fn run(&self) -> Option<u64> {
        let changes = self.take();
        if let Ok(changes) = &changes {
            self.end(changes);
        }
        let kept = changes.and_then(|changes| {
            let mut again = self.again.lock();
            again.reserve(changes.len(), GFP_KERNEL)?;
            // To end what goes by a route would also end those that found the new one.
            let precise = |followed: &Followed| !matches!(followed.change, Change::Route(..));
            for followed in changes.into_iter().filter(precise) {
                again.push_within_capacity(followed)?;
            }
            Ok(())
        });
        if kept.is_err() {
            // Without memory nobody knows which ones.
            self.told.with(|told| told.moves.clear());
            self.engine.with(|state| state.counters.moves_lost += 1);
            self.end(&[Followed::all(time::now_ms())]);
        }
        self.follow_again()
    }
}
