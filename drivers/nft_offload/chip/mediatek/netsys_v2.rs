// SPDX-License-Identifier: GPL-2.0-only

//! NETSYS v2: two PPEs, counters.

use super::{
    netsys::{
        Generation,
        MibWidth,
        Ppe,
        COUNTED, //
    },
    regs::{
        DEFAULT_CPU_PORT1,
        DEFAULT_CPU_PORT1_VALUE,
        SBW_CTRL,
        SBW_CTRL_VALUE,
        TB_CFG_ENTRY_80B,
        TB_CFG_INFO_SEL, //
    }, //
};
use crate::ppe::format::netsys;

static V2: Generation = Generation {
    base: 0x2000,
    table: TB_CFG_ENTRY_80B | TB_CFG_INFO_SEL,
    setup: &[
        (DEFAULT_CPU_PORT1, DEFAULT_CPU_PORT1_VALUE),
        (SBW_CTRL, SBW_CTRL_VALUE),
    ],
    mib_width: MibWidth::Narrow,
};

/// MT7981.
pub(crate) static MT7981: Ppe = Ppe {
    name: "mt7981",
    generation: &V2,
    format: &netsys::NETSYS_V2,
    caps: &COUNTED,
};

/// MT7986.
pub(crate) static MT7986: Ppe = Ppe {
    name: "mt7986",
    generation: &V2,
    format: &netsys::NETSYS_V2,
    caps: &COUNTED,
};
