// SPDX-License-Identifier: GPL-2.0-only

//! What an engine does later, in process context.

use crate::{
    device::{
        Device,
        Works, //
    },
    platform::Kernel,
    ppe::{
        engine::AGE_EVERY_MS,
        health::{
            Verdict,
            LOOK_EVERY_MS, //
        },
        l2::detect::QUEUE,
        netdev::NetId,
        revalidate::{
            ChangeSet,
            FwdEvent,
            Pending, //
        }, //
    },
    qdisc_scan,
    rust::{
        bh_lock::{
            new_bh_lock,
            BhLock, //
        },
        delayed_work::{
            new_work,
            Handle,
            Later,
            Task,
            Work, //
        }, //
        fwd_events,
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

/// Gives connections of bridged flows their entries, and ends those that are idle.
struct SubflowWork(Arc<Device>);

impl Task for SubflowWork {
    fn run(&self) -> Option<u64> {
        let mut state = self.0.lock();
        for _ in 0..QUEUE {
            let Some(seen) = state.taps.take_seen() else {
                break;
            };
            state.engine.bind_seen(&seen);
        }
        state.engine.age_subflows().then_some(AGE_EVERY_MS)
    }
}

/// Looks for shapers once a second.
struct ScanWork(Arc<Device>);

impl Task for ScanWork {
    fn run(&self) -> Option<u64> {
        let mut state = self.0.lock();
        qdisc_scan::scan(&mut state.engine, &self.0.dev);
        state.engine.has_work().then_some(qdisc_scan::LOOK_EVERY_MS)
    }
}

/// Checks the engine's health. It restarts an engine that was reset, or that answers again. The
/// flows start again, too: the kernel offers those that have packets.
struct HealthWork(Arc<Device>);

impl Task for HealthWork {
    fn run(&self) -> Option<u64> {
        let (verdict, chip) = {
            let engine = &mut self.0.lock().engine;
            (engine.look_after(), engine.spec().name)
        };
        if verdict == Verdict::Restarted {
            self.0.take_out(&|_| true);
            dev_notice!(
                self.0.dev,
                "the {chip} engine had lost its state and was started again: its flows come back\n"
            );
        }
        Some(LOOK_EVERY_MS)
    }
}

/// The works of an engine run as long as this exists.
pub(crate) struct Working(Arc<Device>);

impl Working {
    pub(crate) fn new(device: Arc<Device>) -> Result<Self> {
        let subflows = Arc::new(SubflowWork(device.clone()), GFP_KERNEL)?;
        let scan = Arc::new(ScanWork(device.clone()), GFP_KERNEL)?;
        let health = Arc::new(HealthWork(device.clone()), GFP_KERNEL)?;
        let works = Works {
            subflows: Handle::new(new_work!(subflows, c"nft_offload::SubflowWork")?),
            scan: Handle::new(new_work!(scan, c"nft_offload::ScanWork")?),
            health: Handle::new(new_work!(health, c"nft_offload::HealthWork")?),
        };
        works.health.work().request();
        device.lock().works = Some(works);
        Ok(Self(device))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // The works and the engine keep each other. The drop of the works waits for them, and they
        // take the engine's lock, so it is not held here.
        let works = self.0.lock().works.take();
        drop(works);
    }
}

/// Ends the flows that may go the wrong way after a change.
///
/// Locking: `pending` is taken by whoever changes something, from softirqs too, and no other lock
/// inside of it. `following` is its work's own, and has the engine's lock inside; `RTNL`, which the
/// second pass takes, is inside of its `following`.
#[pin_data]
struct RevalidateWork {
    #[pin]
    pending: BhLock<Pending<Kernel>>,
    #[pin]
    following: Mutex<(Pending<Kernel>, ChangeSet<Kernel>)>,
    second: Arc<Work<SecondPassWork>>,
    pass: Arc<SecondPassWork>,
}

/// Follows changes once more when they are in place. Until then the kernel may give a flow that
/// comes back its old path, and just before the event a packet may have found that.
#[pin_data]
struct SecondPassWork {
    /// What is to be followed.
    #[pin]
    unsettled: Mutex<ChangeSet<Kernel>>,
    /// What is being followed.
    #[pin]
    following: Mutex<ChangeSet<Kernel>>,
    device: Arc<Device>,
}

impl SecondPassWork {
    fn revalidate(&self, changes: &ChangeSet<Kernel>) {
        self.device.devices.for_each_flowtable(|flowtable| {
            self.device.lock().engine.revalidate(flowtable, changes);
        });
    }
}

impl Task for RevalidateWork {
    fn run(&self) -> Option<u64> {
        let mut following = self.following.lock();
        let (events, changes) = &mut *following;
        self.pending
            .with(|pending| core::mem::swap(pending, events));
        changes.clear();
        self.pass.device.lock().engine.take_pending(events, changes);
        if changes.is_empty() {
            return None;
        }
        self.pass.revalidate(changes);
        self.pass.unsettled.lock().add_all(changes);
        self.second.request();
        None
    }
}

impl Task for SecondPassWork {
    fn run(&self) -> Option<u64> {
        let mut changes = self.following.lock();
        changes.clear();
        core::mem::swap(&mut *self.unsettled.lock(), &mut *changes);
        fwd_events::synchronize();
        self.revalidate(&changes);
        None
    }
}

/// Has an engine's flows follow what the kernel tells.
pub(crate) struct Revalidation {
    work: Arc<Work<RevalidateWork>>,
    to: Arc<RevalidateWork>,
}

impl Revalidation {
    pub(crate) fn new(device: Arc<Device>) -> Result<Arc<Self>> {
        let unsettled = ChangeSet::new().ok_or(ENOMEM)?;
        let following = ChangeSet::new().ok_or(ENOMEM)?;
        let pass = Arc::pin_init(
            pin_init!(SecondPassWork {
                unsettled <- new_mutex!(unsettled, "nft_offload::unsettled"),
                following <- new_mutex!(following, "nft_offload::SecondPassWork"),
                device,
            }),
            GFP_KERNEL,
        )?;
        let second = new_work!(pass.clone(), c"nft_offload::SecondPassWork")?;
        let pending = Pending::new().ok_or(ENOMEM)?;
        let following = (
            Pending::new().ok_or(ENOMEM)?,
            ChangeSet::new().ok_or(ENOMEM)?,
        );
        let to = Arc::pin_init(
            pin_init!(RevalidateWork {
                pending <- new_bh_lock!(pending, c"nft_offload::pending"),
                following <- new_mutex!(following, "nft_offload::RevalidateWork"),
                second,
                pass,
            }),
            GFP_KERNEL,
        )?;
        let work = new_work!(to.clone(), c"nft_offload::RevalidateWork")?;
        Ok(Arc::new(Self { work, to }, GFP_KERNEL)?)
    }

    /// Something changed in a namespace. In any context but hard interrupts.
    pub(crate) fn notify(&self, net: NetId, event: FwdEvent) {
        self.to.pending.with(|pending| pending.push(net, event));
        self.work.request();
    }
}
