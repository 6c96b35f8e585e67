// SPDX-License-Identifier: GPL-2.0-only

//! NETSYS v3: three PPEs, counters of 64 bits.

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
        TB_CFG_INFO_SEL, //
    }, //
};
use crate::ppe::format::netsys;

static V3: Generation = Generation {
    base: 0x2000,
    table: TB_CFG_INFO_SEL,
    setup: &[
        (DEFAULT_CPU_PORT1, DEFAULT_CPU_PORT1_VALUE),
        (SBW_CTRL, SBW_CTRL_VALUE),
    ],
    mib_width: MibWidth::Wide,
};

/// MT7988.
pub(crate) static MT7988: Ppe = Ppe {
    name: "mt7988",
    generation: &V3,
    format: &netsys::NETSYS_V3,
    caps: &COUNTED,
};
