// SPDX-License-Identifier: GPL-2.0-only

//! NETSYS v2: two PPEs, counters.

use super::{
    netsys::{
        Generation,
        MibWidth,
        Ppe,
        COUNTED,
        GDM1,
        GDM2, //
    },
    regs::{
        DEFAULT_CPU_PORT1,
        DEFAULT_CPU_PORT1_VALUE,
        GDM1_FWD_CFG,
        GDM2_FWD_CFG,
        SBW_CTRL,
        SBW_CTRL_VALUE,
        TB_CFG_ENTRY_80B,
        TB_CFG_INFO_SEL, //
    }, //
};
use crate::ppe::{
    caps::Caps,
    flow::PsePort,
    format::netsys, //
};

static V2: Generation = Generation {
    ppes: &[(0x2000, PsePort(3)), (0x2400, PsePort(4))],
    gdms: &[(GDM1, GDM1_FWD_CFG), (GDM2, GDM2_FWD_CFG)],
    table: TB_CFG_ENTRY_80B | TB_CFG_INFO_SEL,
    setup: &[
        (DEFAULT_CPU_PORT1, DEFAULT_CPU_PORT1_VALUE),
        (SBW_CTRL, SBW_CTRL_VALUE),
    ],
    mib_width: MibWidth::Narrow,
};

static CAPS: Caps = Caps {
    apart: &[GDM2],
    ..COUNTED
};

/// MT7981.
pub(crate) static MT7981: Ppe = Ppe {
    name: "mt7981",
    generation: &V2,
    format: &netsys::NETSYS_V2,
    caps: &CAPS,
};

/// MT7986.
pub(crate) static MT7986: Ppe = Ppe {
    name: "mt7986",
    generation: &V2,
    format: &netsys::NETSYS_V2,
    caps: &CAPS,
};
