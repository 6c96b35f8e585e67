// SPDX-License-Identifier: GPL-2.0-only

//! NETSYS v3: three PPEs, counters of 64 bits.

use super::{
    netsys::{
        Generation,
        MibWidth,
        Ppe,
        COUNTED,
        GDM1,
        GDM2,
        GDM3, //
    },
    regs::{
        DEFAULT_CPU_PORT1,
        DEFAULT_CPU_PORT1_VALUE,
        GDM1_FWD_CFG,
        GDM2_FWD_CFG,
        GDM3_FWD_CFG,
        SBW_CTRL,
        SBW_CTRL_VALUE,
        TB_CFG_INFO_SEL, //
    }, //
};
use crate::ppe::{
    caps::Caps,
    flow::PsePort,
    format::netsys, //
};

static V3: Generation = Generation {
    ppes: &[
        (0x2000, PsePort(3)),
        (0x2400, PsePort(4)),
        (0x2c00, PsePort(12)),
    ],
    gdms: &[
        (GDM1, GDM1_FWD_CFG),
        (GDM2, GDM2_FWD_CFG),
        (GDM3, GDM3_FWD_CFG),
    ],
    table: TB_CFG_INFO_SEL,
    setup: &[
        (DEFAULT_CPU_PORT1, DEFAULT_CPU_PORT1_VALUE),
        (SBW_CTRL, SBW_CTRL_VALUE),
    ],
    mib_width: MibWidth::Wide,
};

static CAPS: Caps = Caps {
    apart: &[GDM2, GDM3],
    ..COUNTED
};

/// MT7988.
pub(crate) static MT7988: Ppe = Ppe {
    name: "mt7988",
    generation: &V3,
    format: &netsys::NETSYS_V3,
    caps: &CAPS,
};
