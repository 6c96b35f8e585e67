// SPDX-License-Identifier: GPL-2.0-only
//! The chip and the guest's memory, which the threads share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use vppe_model::FrameEngine;

use crate::memory::GuestMemory;

/// Seconds from the start of the program to the wrap of an entry's timestamp.
const BEFORE_WRAP: u32 = 16;

/// The chip and the guest's memory.
pub struct Core {
    /// The chip.
    pub engine: FrameEngine,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// Number of times that the guest allowed bus mastering while a PPE was on.
    pub masters_running: u64,
}

impl Core {
    /// Allows or forbids the device to access memory.
    pub fn set_bus_master(&mut self, on: bool) {
        let runs = self.engine.ppes().iter().any(|ppe| ppe.enabled());
        if on && !self.memory.bus_master() && runs {
            self.masters_running += 1;
        }
        self.memory.set_bus_master(on);
    }
}

/// [`Core`] behind a lock. A thread holds it for a batch of frames or one register access.
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

    /// Locks the chip and sets its time.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.start.elapsed().as_secs() as u32;
        let bits = core.engine.chip().layout.ib1_timestamp.mask();
        core.engine.set_time(bits + 1 - BEFORE_WRAP + elapsed);
        core
    }

    /// Start of the program.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Returns whether a vfio-user client uses the device.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Sets whether a vfio-user client uses the device.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }
}
