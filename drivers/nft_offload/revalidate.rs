// SPDX-License-Identifier: GPL-2.0-only

//! Walks over the flows of all flowtables after events by which their paths may have changed.

use crate::{
    device::Device,
    platform::{
        Kernel,
        Routed, //
    },
    ppe::{
        block::FlowTableId,
        engine::{
            teardown::{
                EndedConnections,
                ENDED_AT_A_TIME, //
            },
            Context, //
        },
        netdev::NetId,
        revalidate::{
            pending::{
                ChangeSet,
                Pending, //
            },
            FwdEvent, //
        }, //
    },
    rust::{
        bh_lock::{
            new_bh_lock,
            BhLock, //
        },
        delayed_work::{
            new_work,
            Later,
            Task,
            Work, //
        },
        flowtable::{
            self,
            Direction,
            FlowTable, //
        },
        fwd_events,
        time, //
    },
    translate::net_id, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// The time from the end of a walk to the next one, at least: in a storm of events. Both walks for
/// an event then come within the 100 ms that a wrong path may last.
const PAUSE_MS: u64 = 20;

/// Of one processor, walks take one part in so many at most, as long as that leaves time enough.
const PAUSE_FACTOR: u64 = 4;

/// The longest such time.
const LONGEST_PAUSE_MS: u64 = 60;

/// Ends the flows whose path changed.
///
/// Locking: `pending` is taken by whoever makes a change, from softirqs too, and has no other lock
/// inside. `changes` is its work's own. The list of flowtables is taken inside, and the engine's
/// lock inside of that, for a step at a time. `RTNL`, which the second walk waits for, is taken
/// with nothing held but that work's own `changes`.
#[pin_data]
pub(crate) struct FirstWalk {
    #[pin]
    pending: BhLock<Pending<Kernel>>,
    #[pin]
    changes: Mutex<ChangeSet<Kernel>>,
    /// No walk begins before this time.
    not_before_ms: Atomic<u64>,
    second: Arc<Work<SecondWalk>>,
}

/// Walks once more when the kernel has made the changes. Until then it may give a flow that comes
/// back its old path, and just before the event a packet may have looked that up.
#[pin_data]
struct SecondWalk {
    /// Changes that are to be looked at.
    #[pin]
    announced: Mutex<ChangeSet<Kernel>>,
    /// Changes that are being looked at.
    #[pin]
    changes: Mutex<ChangeSet<Kernel>>,
    device: Arc<Device>,
}

/// [`ENDED_AT_A_TIME`].
const MOST: u32 = ENDED_AT_A_TIME as u32;

/// A walk over one flowtable.
struct Walk<'a> {
    device: &'a Device,
    flowtable: &'a FlowTable,
    changes: &'a ChangeSet<Kernel>,
    ended: EndedConnections,
}

impl flowtable::Walk for Walk<'_> {
    /// Within an RCU read-side critical section.
    fn ends(&mut self, there: &Direction, back: &Direction) -> bool {
        let net = self.flowtable.net();
        let [there, back] = [there, back].map(|direction| Routed { direction, net });
        self.ended
            .revalidate(net_id(net), self.changes, [&there, &back])
    }

    fn step(&mut self) -> bool {
        if !self.ended.is_empty() {
            let flowtable = FlowTableId(self.flowtable.id().to_usize());
            let context = Context {
                net: self.flowtable.net(),
                counter: self.flowtable.has_counter(),
            };
            let mut state = self.device.lock();
            let begin = Instant::<Monotonic>::now();
            state
                .engine
                .remove_ended(flowtable, &context, &mut self.ended);
            let held = begin.elapsed().as_nanos() / 1000;
            state.engine.note_hold(u64::try_from(held).unwrap_or(0));
        }
        !self.device.devices.is_wanted()
    }
}

impl SecondWalk {
    #[inline(never)]
    fn walk(&self, changes: &ChangeSet<Kernel>) {
        let device = &*self.device;
        let mut complete = false;
        // Each time but the last a flowtable came or went.
        while !complete {
            complete = true;
            device.devices.for_each_flowtable(|flowtable| {
                let mut walk = Walk {
                    device,
                    flowtable,
                    changes,
                    ended: EndedConnections::NONE,
                };
                complete = complete && flowtable.end_flows(MOST, &mut walk);
            });
        }
    }
}

impl Task for FirstWalk {
    fn run(&self) -> Option<u64> {
        let begin_ms = time::now_ms();
        let mut changes = self.changes.lock();
        changes.clear();
        self.pending.with(|pending| pending.swap(&mut changes));
        if changes.is_empty() {
            return None;
        }
        let second = self.second.task();
        second.device.lock().engine.begin_walk(changes.events());
        second.walk(&changes);
        if changes.is_announced() {
            second.announced.lock().add_all(&changes);
            self.second.request();
        }
        let end_ms = time::now_ms();
        let pause = end_ms.saturating_sub(begin_ms).saturating_mul(PAUSE_FACTOR);
        let pause = pause.clamp(PAUSE_MS, LONGEST_PAUSE_MS);
        self.not_before_ms
            .store(end_ms.saturating_add(pause), Relaxed);
        None
    }
}

impl Task for SecondWalk {
    fn run(&self) -> Option<u64> {
        let mut changes = self.changes.lock();
        changes.clear();
        core::mem::swap(&mut *self.announced.lock(), &mut *changes);
        if !changes.is_empty() {
            fwd_events::synchronize();
            self.walk(&changes);
        }
        None
    }
}

/// Has an engine's flows follow the kernel's paths.
pub(crate) type Revalidation = Work<FirstWalk>;

/// The works that follow the paths of a device's flows, of which the first one hears of events.
pub(crate) fn new(device: Arc<Device>) -> Result<Arc<Revalidation>> {
    let second = try_pin_init!(SecondWalk {
        announced <- new_mutex!(ChangeSet::new().ok_or(ENOMEM)?, "nft_offload::announced"),
        changes <- new_mutex!(ChangeSet::new().ok_or(ENOMEM)?, "nft_offload::SecondWalk"),
        device,
    });
    let second = new_work!(second, c"nft_offload::SecondWalk")?;
    let first = try_pin_init!(FirstWalk {
        pending <- new_bh_lock!(Pending::new().ok_or(ENOMEM)?, c"nft_offload::pending"),
        changes <- new_mutex!(ChangeSet::new().ok_or(ENOMEM)?, "nft_offload::FirstWalk"),
        not_before_ms: Atomic::new(0_u64),
        second,
    });
    new_work!(first, c"nft_offload::FirstWalk")
}

/// Something changed in a namespace. In any context but hard interrupts.
pub(crate) fn notify(work: &Revalidation, net: NetId, event: &FwdEvent) {
    let first = work.task();
    if first.pending.with(|pending| pending.hear(net, event)) {
        let not_before_ms = first.not_before_ms.load(Relaxed);
        work.request_in(not_before_ms.saturating_sub(time::now_ms()));
    }
}
