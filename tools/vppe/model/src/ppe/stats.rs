// SPDX-License-Identifier: GPL-2.0-only
//! What a PPE counts for its user.

use crate::dma::DmaError;
use crate::verdict::{CpuReason, Verdict};

/// What a PPE counted since the last reset of the statistics. The guest cannot see it.
#[derive(Debug, Clone, Default)]
pub struct PpeStats {
    /// Frames that the PPE looked up.
    pub lookups: u64,
    /// Look-ups that found a bound entry.
    pub hits: u64,
    /// Look-ups that found no bound entry.
    pub misses: u64,
    /// Frames that left through a port without the CPU.
    pub forwarded: u64,
    /// Discarded frames (wrong checksum, TTL 0, search-miss action, drop port).
    pub dropped: u64,
    /// Unbound entries that the PPE built.
    pub built: u64,
    /// Entries that the age scan removed.
    pub aged: u64,
    /// Entries that the PPE read into the cache.
    pub cache_fills: u64,
    /// Times the guest cleared the cache.
    pub cache_clears: u64,
    /// Completed serial reads of the MIB.
    pub mib_reads: u64,
    /// Failed accesses to guest memory.
    pub dma_errors: u64,
    /// Hits whose PSE port the board lacks.
    pub bad_ports: u64,
    /// Look-ups whose flow has an unusable entry ([`crate::chip::Chip::boundary`]).
    pub unusable: u64,
    /// Frames to the CPU, by [`CpuReason`].
    pub reasons: [u64; CpuReason::COUNT],
}

impl PpeStats {
    /// Counts a failed access to guest memory.
    #[inline]
    pub(super) fn count_dma<T>(&mut self, result: Result<T, DmaError>) -> Option<T> {
        if result.is_err() {
            self.dma_errors += 1;
        }
        result.ok()
    }

    /// Counts a frame for the CPU.
    pub(super) fn punt(&mut self, reason: CpuReason, entry: Option<u32>) -> Verdict {
        self.reasons[reason as usize] += 1;
        Verdict::ToCpu { reason, entry }
    }

    /// Counts a discarded frame.
    pub(super) fn drop_frame(&mut self) -> Verdict {
        self.dropped += 1;
        Verdict::Drop
    }
}
