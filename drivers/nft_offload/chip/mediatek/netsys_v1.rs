// SPDX-License-Identifier: GPL-2.0-only

//! NETSYS v1: one PPE; counters in MT7622 only.

use super::{
    netsys::{
        Generation,
        MibWidth,
        Ppe,
        COUNTED,
        GDM1,
        GDM2,
        UNCOUNTED, //
    },
    regs::{
        GDM1_FWD_CFG,
        GDM2_FWD_CFG,
        TB_CFG_ENTRY_80B, //
    }, //
};
use crate::ppe::{
    flow::PsePort,
    format::netsys, //
};

static V1: Generation = Generation {
    ppes: &[(0x0c00, PsePort(4))],
    gdms: &[(GDM1, GDM1_FWD_CFG), (GDM2, GDM2_FWD_CFG)],
    table: TB_CFG_ENTRY_80B,
    setup: &[],
    mib_width: MibWidth::Narrow,
};

/// MT7621.
pub(crate) static MT7621: Ppe = Ppe {
    name: "mt7621",
    generation: &V1,
    format: &netsys::NETSYS_V1_BOUNDARY,
    caps: &UNCOUNTED,
};

/// MT7622.
pub(crate) static MT7622: Ppe = Ppe {
    name: "mt7622",
    generation: &V1,
    format: &netsys::NETSYS_V1_COUNTED,
    caps: &COUNTED,
};

/// MT7623.
pub(crate) static MT7623: Ppe = Ppe {
    name: "mt7623",
    generation: &V1,
    format: &netsys::NETSYS_V1,
    caps: &UNCOUNTED,
};
