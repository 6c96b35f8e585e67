// SPDX-License-Identifier: GPL-2.0-only
//! The chip and the guest's memory, shared by the threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use vppe_model::FrameEngine;

use crate::memory::GuestMemory;

/// Seconds from the program's start to the wrap of the timestamp's bits that an entry
/// holds, in every run.
const BEFORE_WRAP: u32 = 16;

/// The chip and what it needs.
pub struct Core {
    /// The chip.
    pub engine: FrameEngine,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// How often the guest let the device access memory while a PPE ran.
    pub masters_running: u64,
}

impl Core {
    /// Allows or forbids access to memory.
    pub fn set_bus_master(&mut self, on: bool) {
        let runs = self.engine.ppes().iter().any(|ppe| ppe.enabled());
        if on && !self.memory.bus_master() && runs {
            self.masters_running += 1;
        }
        self.memory.set_bus_master(on);
    }
}

/// [`Core`] behind a lock. Threads hold it for a batch of frames or one register access.
pub struct Shared {
    core: Mutex<Core>,
    connected: AtomicBool,
    start: Instant,
}

impl Shared {
    /// A chip without a guest.
    pub fn new(engine: FrameEngine) -> Self {
        Self {
            core: Mutex::new(Core {
                engine,
                memory: GuestMemory::default(),
                masters_running: 0,
            }),
            connected: AtomicBool::new(false),
            start: Instant::now(),
        }
    }

    /// Locks the chip; its time is the present.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.start.elapsed().as_secs() as u32;
        let bits = core.engine.chip().layout.ib1_timestamp.mask();
        core.engine.set_time(bits + 1 - BEFORE_WRAP + elapsed);
        core
    }

    /// When the program started.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Whether a vfio-user client uses the device.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Says whether a vfio-user client uses the device.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }
}
