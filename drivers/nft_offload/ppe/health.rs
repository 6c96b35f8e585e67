// SPDX-License-Identifier: GPL-2.0-only

//! Whether the engine runs, and when one that does not is started again.

/// Time between two looks, in milliseconds.
pub const LOOK_EVERY_MS: u64 = 1_000;

/// An engine that each look finds running for so long, in milliseconds, is steady.
const STEADY_MS: u64 = 10_000;

/// The longest time between two starts, in milliseconds. A start may hold the engine's lock for as
/// long as the chip waits for a register, and all flows begin anew after it.
const BACK_OFF_MS: u64 = 60_000;

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Running,
    /// It does not answer.
    Silent,
    /// It answers and does not run, and it is too early to start it again.
    Waiting,
    /// It was started again.
    Restarted,
    /// It answers, and could not be started.
    Failed,
}

/// When an engine may be started again: at once after it was steady, and then after twice the time
/// of the start before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    back_off_ms: u64,
    /// When it may be started.
    not_before_ms: u64,
    /// Since when each look found it running.
    running_since_ms: Option<u64>,
}

impl Health {
    /// A look found the engine running.
    pub fn runs(&mut self, now_ms: u64) {
        let since_ms = *self.running_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since_ms) >= STEADY_MS {
            self.back_off_ms = 0;
            self.not_before_ms = 0;
        }
    }

    /// A look found that the engine does not run, or that it does not answer.
    pub fn stopped(&mut self) {
        self.running_since_ms = None;
    }

    /// Whether it may be started now, which is done then.
    pub fn may_start(&mut self, now_ms: u64) -> bool {
        if now_ms < self.not_before_ms {
            return false;
        }
        let twice_ms = self.back_off_ms.saturating_mul(2);
        self.back_off_ms = twice_ms.clamp(LOOK_EVERY_MS, BACK_OFF_MS);
        self.not_before_ms = now_ms.saturating_add(self.back_off_ms);
        true
    }
}
