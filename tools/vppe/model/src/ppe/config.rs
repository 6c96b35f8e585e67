// SPDX-License-Identifier: GPL-2.0-only
//! What the registers say, decoded once for each write.

use super::table::Table;
use crate::chip::Chip;
use crate::regs::{self, Registers};

/// Largest value of `TB_CFG.ENTRY_NUM`.
const MAX_ENTRY_NUM: u32 = 5;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Config {
    pub(super) enabled: bool,
    pub(super) table: Table,
    pub(super) hash_mode: u32,
    pub(super) hash_seed: u32,
    pub(super) search_miss: u32,
    /// The cache is on.
    pub(super) cached: bool,
    /// The MIB is on.
    pub(super) mib: bool,
    /// Largest frame, in bytes, by number of tags.
    pub(super) mtu: [u32; 4],
}

impl Config {
    pub(super) fn new(chip: &Chip, regs: &Registers) -> Self {
        let tb_cfg = regs.get(regs::TB_CFG);
        let entry_num = regs::TB_CFG_ENTRY_NUM.get(tb_cfg).min(MAX_ENTRY_NUM);
        let mtu0 = regs.get(regs::VLAN_MTU0);
        let mtu1 = regs.get(regs::VLAN_MTU1);
        Self {
            enabled: regs::GLO_CFG_EN.get(regs.get(regs::GLO_CFG)) != 0,
            table: Table {
                base: u64::from(regs.get(regs::TB_BASE)),
                entries: 1024 << entry_num,
                entry_size: (chip.entry_size)(
                    regs::TB_CFG_ENTRY_80B.get(tb_cfg) != 0,
                    regs::TB_CFG_INFO_SEL.get(tb_cfg) != 0,
                ),
            },
            hash_mode: regs::TB_CFG_HASH_MODE.get(tb_cfg),
            hash_seed: regs.get(regs::HASH_SEED),
            search_miss: regs::TB_CFG_SEARCH_MISS.get(tb_cfg),
            cached: regs::CACHE_CTL_EN.get(regs.get(regs::CACHE_CTL)) != 0,
            mib: regs::MIB_CFG_EN.get(regs.get(regs::MIB_CFG)) != 0,
            mtu: [
                regs::VLAN_MTU_LOW.get(mtu0),
                regs::VLAN_MTU_HIGH.get(mtu0),
                regs::VLAN_MTU_LOW.get(mtu1),
                regs::VLAN_MTU_HIGH.get(mtu1),
            ],
        }
    }

    /// Returns whether the PPE is on and has a table.
    pub(super) fn has_table(&self) -> bool {
        self.enabled && self.table.base != 0
    }
}
