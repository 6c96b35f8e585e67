// SPDX-License-Identifier: GPL-2.0-only
//! Which entries are too old, and how far the age scan is.

use super::table::TableCount;
use crate::chip::Layout;
use crate::entry;
use crate::regs::{self, Registers};

/// Returns whether the age scan removes an entry with this state word.
///
/// **Assumption**: `UNBIND_AGE.MIN_PACKETS` has no effect: only the timestamp decides about an
/// unbound entry. An entry has to be older than its age.
pub(super) fn expired(regs: &Registers, layout: &Layout, now: u32, ib1: u32) -> bool {
    let tb_cfg = regs.get(regs::TB_CFG);
    if regs::TB_CFG_SCAN_MODE.get(tb_cfg) == 0 || entry::IB1_STATIC.get(ib1) != 0 {
        return false;
    }
    let bound = layout.ib1_timestamp;
    let unbound = entry::IB1_UNBIND_TIMESTAMP;
    let udp = entry::IB1_UDP.get(ib1) != 0;
    let (enable, reg, age, stamp) = match entry::IB1_STATE.get(ib1) {
        entry::STATE_UNBIND => (
            regs::TB_CFG_AGE_UNBIND,
            regs::UNBIND_AGE,
            regs::UNBIND_AGE_DELTA,
            unbound,
        ),
        entry::STATE_BIND if udp => (
            regs::TB_CFG_AGE_UDP,
            regs::BIND_AGE0,
            regs::BIND_AGE0_UDP,
            bound,
        ),
        entry::STATE_BIND => (
            regs::TB_CFG_AGE_TCP,
            regs::BIND_AGE1,
            regs::BIND_AGE1_TCP,
            bound,
        ),
        entry::STATE_FIN => (
            regs::TB_CFG_AGE_TCP_FIN,
            regs::BIND_AGE1,
            regs::BIND_AGE1_TCP_FIN,
            bound,
        ),
        _ => return false,
    };
    let idle = now.wrapping_sub(stamp.get(ib1)) & stamp.mask();
    enable.get(tb_cfg) != 0 && idle > age.get(regs.get(reg))
}

/// The progress of the age scan.
#[derive(Default)]
pub(super) struct AgeScan {
    /// Index of the next entry.
    pub(super) at: u32,
    /// Entries of this pass that stay.
    count: TableCount,
    /// Number of entries in use, for `TB_USED`: from the last whole pass, and from what the
    /// PPE built and removed since.
    pub(super) used: u32,
}

impl AgeScan {
    /// Begins a new pass.
    pub(super) fn restart(&mut self) {
        self.at = 0;
        self.count = TableCount::default();
    }

    /// Counts an entry that stays.
    pub(super) fn keep(&mut self, ib1: u32) {
        self.count.add(ib1);
    }

    /// Goes on to the next of `entries` entries.
    pub(super) fn advance(&mut self, entries: u32) {
        self.at += 1;
        if self.at >= entries {
            self.used = self.count.used();
            self.restart();
        }
    }
}
