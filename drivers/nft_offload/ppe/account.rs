// SPDX-License-Identifier: GPL-2.0-only

//! What was done, by counts, and what conntrack has to be told of it.

use super::{
    count::{
        inc,
        Count, //
    },
    platform::{
        Conntrack,
        Passed, //
    },
    table::Record, //
};

/// Counts, each as the file `stats` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rules offered, each refresh of a flow included.
    pub offered: u64,
    /// Rules refused.
    pub rejected: u64,
    /// Flows that ended by the kernel's word.
    pub destroyed: u64,
    /// Flows taken out because flowtable, device or engine went away.
    pub flushed: u64,
    /// Packets and layer-3 bytes forwarded by the engine, as far as they were read.
    pub forwarded: Count,
    /// Of these, what the kernel never asked for and was handed to conntrack at the flow's end.
    pub residual: Count,
    /// Flows whose residual could not be handed to conntrack: it did not know them any more.
    pub residual_lost: u64,
    /// Devices in flowtables that are no port of this engine.
    pub foreign_devices: u64,
    /// Events of neighbours, FDB entries, routes and devices.
    pub moves: u64,
    /// Walks over the flows that these were the reason for.
    pub walks: u64,
    /// The longest time that a step of a walk held the engine's lock, in microseconds.
    pub walk_hold_us: u64,
    /// Flows taken out because their path had changed.
    pub moved: u64,
    /// Times the engine stopped answering.
    pub quarantined: u64,
    /// Times it was started again.
    pub restarted: u64,
}

impl Counters {
    /// Adds what the engine has forwarded.
    pub fn forward(&mut self, count: Count) {
        self.forwarded = self.forwarded.plus(count);
    }

    /// Hands what the kernel will not ask for any more to conntrack. `net` is the namespace of the
    /// flow, where there is one, and `counter` says whether its flowtable counts.
    pub fn account_residual<C: Conntrack>(
        &mut self,
        conntrack: &C,
        net: Option<&C::Net>,
        counter: bool,
        removed: &Record,
    ) {
        let residual = removed.unreported;
        self.forward(residual);
        if removed.connection.id == 0 || !removed.hit {
            return;
        }
        let uncounted = if counter { residual } else { Count::ZERO };
        let passed = Passed {
            uncounted,
            several: residual.packets > 1,
            last_used_ms: removed.last_used_ms,
        };
        if net.is_some_and(|net| conntrack.account(net, &removed.flow, removed.connection, &passed))
        {
            self.residual = self.residual.plus(uncounted);
        } else if uncounted != Count::ZERO {
            inc(&mut self.residual_lost);
        }
    }
}

/// What an audit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRun {
    /// When it ended.
    pub ended_ms: u64,
    /// What it found that is wrong.
    pub faults: u32,
}

/// The audits that there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditRuns {
    /// How many.
    pub count: u64,
    /// The last one.
    pub last: Option<AuditRun>,
    /// Made for a reader who may not have got it yet.
    pub made: Option<AuditRun>,
}
