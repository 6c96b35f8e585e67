// SPDX-License-Identifier: GPL-2.0-only

//! What an engine does later, in process context.

use crate::{
    device::{
        Device,
        Works, //
    },
    path_scan,
    ppe::{
        engine::AGE_EVERY_MS,
        health::{
            Verdict,
            LOOK_EVERY_MS, //
        },
        l2::detect::QUEUE, //
    },
    rust::delayed_work::{
        new_work,
        Handle,
        Task, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
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

/// Looks for obstacles once a second.
struct ScanWork(Arc<Device>);

impl Task for ScanWork {
    fn run(&self) -> Option<u64> {
        let mut state = self.0.lock();
        path_scan::scan(&mut state.engine, &self.0.dev);
        state.engine.has_work().then_some(path_scan::LOOK_EVERY_MS)
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
        let subflows = Ok(SubflowWork(device.clone()));
        let scan = Ok(ScanWork(device.clone()));
        let health = Ok(HealthWork(device.clone()));
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
