// SPDX-License-Identifier: GPL-2.0-only
//! Registers of one PPE: offsets in its block, fields, and their storage.

#![allow(missing_docs)] // The names are the chip's; the facts page describes them.

use crate::bits::Field;

// A GDM's forward register; its offset is a property of the chip.
pub const GDM_FWD_OTHER: Field = Field::new(3, 0);
pub const GDM_FWD_MULTICAST: Field = Field::new(7, 4);
pub const GDM_FWD_BROADCAST: Field = Field::new(11, 8);
pub const GDM_FWD_OWN: Field = Field::new(15, 12);
pub const GDM_FWD_CHECKSUMS: Field = Field::new(22, 20);
pub const GDM_FWD_SPECIAL_TAG: Field = Field::bit(24);

/// Bytes of one PPE's register block.
pub const BLOCK_SIZE: u32 = 0x400;

pub const GLO_CFG: u32 = 0x200;
pub const GLO_CFG_EN: Field = Field::bit(0);
pub const GLO_CFG_IP4_L4_CS_DROP: Field = Field::bit(2);
pub const GLO_CFG_IP4_CS_DROP: Field = Field::bit(3);
pub const GLO_CFG_TTL0_DROP: Field = Field::bit(4);
pub const GLO_CFG_BUSY: Field = Field::bit(31);

pub const FLOW_CFG: u32 = 0x204;
pub const FLOW_CFG_IP6_5T_ROUTE: Field = Field::bit(9);
pub const FLOW_CFG_IP4_NAT: Field = Field::bit(12);
pub const FLOW_CFG_IP4_NAPT: Field = Field::bit(13);

pub const TB_CFG: u32 = 0x21c;
pub const TB_CFG_ENTRY_NUM: Field = Field::new(2, 0);
pub const TB_CFG_ENTRY_80B: Field = Field::bit(3);
pub const TB_CFG_SEARCH_MISS: Field = Field::new(5, 4);
pub const TB_CFG_AGE_NON_L4: Field = Field::bit(7);
pub const TB_CFG_AGE_UNBIND: Field = Field::bit(8);
pub const TB_CFG_AGE_TCP: Field = Field::bit(9);
pub const TB_CFG_AGE_UDP: Field = Field::bit(10);
pub const TB_CFG_AGE_TCP_FIN: Field = Field::bit(11);
pub const TB_CFG_HASH_MODE: Field = Field::new(15, 14);
pub const TB_CFG_SCAN_MODE: Field = Field::new(17, 16);
pub const TB_CFG_INFO_SEL: Field = Field::bit(20);

pub const SEARCH_MISS_DROP: u32 = 0;
pub const SEARCH_MISS_FORWARD: u32 = 2;
pub const SEARCH_MISS_FORWARD_BUILD: u32 = 3;

pub const TB_BASE: u32 = 0x220;
pub const TB_USED: u32 = 0x224;
pub const TB_USED_NUM: Field = Field::new(13, 0);

pub const BIND_RATE: u32 = 0x228;
pub const BIND_RATE_BIND: Field = Field::new(15, 0);
pub const BIND_LIMIT0: u32 = 0x22c;
pub const BIND_LIMIT1: u32 = 0x230;

pub const UNBIND_AGE: u32 = 0x238;
pub const UNBIND_AGE_DELTA: Field = Field::new(7, 0);
pub const BIND_AGE0: u32 = 0x23c;
pub const BIND_AGE0_UDP: Field = Field::new(14, 0);
pub const BIND_AGE1: u32 = 0x240;
pub const BIND_AGE1_TCP: Field = Field::new(14, 0);
pub const BIND_AGE1_TCP_FIN: Field = Field::new(30, 16);
pub const HASH_SEED: u32 = 0x244;
pub const DEFAULT_CPU_PORT: u32 = 0x248;

pub const VLAN_MTU0: u32 = 0x30c;
pub const VLAN_MTU1: u32 = 0x310;
pub const VLAN_MTU_LOW: Field = Field::new(13, 0);
pub const VLAN_MTU_HIGH: Field = Field::new(29, 16);

pub const CACHE_CTL: u32 = 0x320;
pub const CACHE_CTL_EN: Field = Field::bit(0);
pub const CACHE_CTL_CLEAR: Field = Field::bit(9);

pub const MIB_CFG: u32 = 0x334;
pub const MIB_CFG_EN: Field = Field::bit(0);
pub const MIB_CFG_RD_CLR: Field = Field::bit(1);
pub const MIB_TB_BASE: u32 = 0x338;
pub const MIB_SER_CR: u32 = 0x33c;
pub const MIB_SER_CR_ST: Field = Field::bit(16);
pub const MIB_SER_CR_ADDR: Field = Field::new(13, 0);
pub const MIB_SER_R0: u32 = 0x340;
pub const MIB_SER_R1: u32 = 0x344;
pub const MIB_SER_R2: u32 = 0x348;
pub const MIB_SER_R3: u32 = 0x34c;
pub const MIB_CACHE_CTL: u32 = 0x350;

/// Offset of the first word of a block that is a register.
const FIRST: u32 = 0x200;
const WORDS: usize = ((BLOCK_SIZE - FIRST) / 4) as usize;

/// The values of a PPE's registers.
pub(crate) struct Registers([u32; WORDS]);

impl Registers {
    /// The values after power-up.
    ///
    /// **Assumption**: the MTU limits come up as 1518 plus 4 per tag, all else as 0.
    pub(crate) fn new() -> Self {
        let mut this = Self([0; WORDS]);
        this.set(VLAN_MTU0, 1518 | 1522 << 16);
        this.set(VLAN_MTU1, 1526 | 1530 << 16);
        this
    }

    /// Returns whether a register can be at this offset.
    pub(crate) fn contains(offset: u32) -> bool {
        (FIRST..BLOCK_SIZE).contains(&offset)
    }

    #[inline]
    pub(crate) fn get(&self, offset: u32) -> u32 {
        self.0[((offset - FIRST) / 4) as usize]
    }

    pub(crate) fn set(&mut self, offset: u32, value: u32) {
        self.0[((offset - FIRST) / 4) as usize] = value;
    }
}
