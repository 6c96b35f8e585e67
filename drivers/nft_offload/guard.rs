// SPDX-License-Identifier: GPL-2.0-only

//! Looks whether the engine runs, and starts it again when it was reset, or when it answers after
//! it did not.
//!
//! Its flows start again, too: the kernel offers those that have packets.

use crate::{
    engine::{
        Engine,
        State, //
    },
    rust::work::{
        Task,
        Work, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Time between two looks, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// The longest time between two tries to start an engine that answers, but fails to start, in
/// milliseconds. A try may hold the engine's lock for as long as the chip waits for a register.
const TRY_EVERY_MS: u64 = 60_000;

/// What an engine has for its guard.
pub(crate) struct Guarded {
    /// There from the start of the engine to its end.
    work: Option<Arc<Work<Guard>>>,
    /// Time until the next look.
    pause_ms: u64,
}

impl Guarded {
    pub(crate) fn new() -> Self {
        Self {
            work: None,
            pause_ms: LOOK_EVERY_MS,
        }
    }
}

/// The looking, of one engine.
pub(crate) struct Guard(Arc<Engine>);

/// What a look found.
enum Found {
    Running,
    /// It does not answer.
    Silent,
    Started,
    /// It answers, and could not be started.
    Failed,
}

impl State {
    fn guard(&mut self) -> Found {
        match self.check() {
            Ok(true) if self.alive() => Found::Running,
            Err(_) => Found::Silent,
            Ok(_) => match self.restart() {
                Ok(()) => Found::Started,
                Err(_) => Found::Failed,
            },
        }
    }
}

impl Task for Guard {
    fn run(&self) -> Option<u64> {
        let (found, pause_ms) = self.0.with(|state| {
            let found = state.guard();
            state.guarded.pause_ms = match found {
                Found::Failed => (2 * state.guarded.pause_ms).min(TRY_EVERY_MS),
                _ => LOOK_EVERY_MS,
            };
            (found, state.guarded.pause_ms)
        });
        if matches!(found, Found::Started) {
            // What was bound is not any more.
            self.0.take_out(|_| true);
            self.0.with(|state| state.flush_subflows(|_| true));
            dev_notice!(
                self.0.dev,
                "the {} engine had lost its state and was started again: its flows come back\n",
                self.0.spec.name
            );
        }
        Some(pause_ms)
    }
}

/// The guard of an engine, as long as this exists.
pub(crate) struct Guarding(Arc<Engine>);

impl Guarding {
    pub(crate) fn new(engine: Arc<Engine>) -> Result<Self> {
        let guard = Arc::new(Guard(engine.clone()), GFP_KERNEL)?;
        let work = Arc::pin_init(Work::new(guard), GFP_KERNEL)?;
        work.request();
        engine.with(|state| state.guarded.work = Some(work));
        Ok(Self(engine))
    }
}

impl Drop for Guarding {
    fn drop(&mut self) {
        // As of the worker of bridged flows.
        let work = self.0.with(|state| state.guarded.work.take());
        if let Some(work) = work {
            work.stop();
        }
    }
}
