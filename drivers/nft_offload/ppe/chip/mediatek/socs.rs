// SPDX-License-Identifier: GPL-2.0-only

//! The chips, and the generations they belong to.

use super::super::super::{
    caps::{
        Caps,
        DsaCaps,
        MibUnit, //
    },
    flow::{
        DsaTag,
        PsePort, //
    },
    format::{
        netsys::{
            self as format,
            DSA_PORTS, //
        },
        Format, //
    },
    spec::Spec, //
};
use super::{
    netsys::{
        MibWidth,
        Netsys,
        ENTRIES,
        MIB_WORDS, //
    },
    regs::{
        DEFAULT_CPU_PORT1,
        DEFAULT_CPU_PORT1_VALUE,
        GDM1_FWD_CFG,
        GDM2_FWD_CFG,
        GDM3_FWD_CFG,
        SBW_CTRL,
        SBW_CTRL_VALUE,
        TB_CFG_ENTRY_80B,
        TB_CFG_INFO_SEL, //
    }, //
};

/// PSE port of the first GDM (the MAC side of a port).
const GDM1: PsePort = PsePort(1);
/// PSE port of the second GDM.
const GDM2: PsePort = PsePort(2);
/// PSE port of the third GDM, since NETSYS v3.
const GDM3: PsePort = PsePort(15);

/// Capabilities of chips with one PPE and without counters.
const UNCOUNTED: Caps = Caps {
    ipv4: true,
    ipv6: true,
    nat44: true,
    nat66: false,
    bridge: true,
    hairpin: true,
    vlan_tags: 2,
    pppoe: true,
    headers: 2,
    dsa: Some(DsaCaps {
        tag: DsaTag::MTK,
        ports: DSA_PORTS,
    }),
    mib: None,
    extra_ppe_ports: &[],
};

/// Capabilities of chips with counters, and with a PPE of its own for each of the ports `apart`.
const fn counted(apart: &'static [PsePort]) -> Caps {
    Caps {
        // No document says what the bytes of the MIB are. The mainline driver hands them to
        // conntrack, which counts from the IP header on, as they are.
        mib: Some(MibUnit::Layer3),
        extra_ppe_ports: apart,
        ..UNCOUNTED
    }
}

const fn spec(name: &'static str, caps: Caps, format: &'static dyn Format) -> Spec {
    Spec {
        name,
        format,
        entries: ENTRIES,
        mib_words: if caps.mib.is_some() { MIB_WORDS } else { 0 },
        caps,
    }
}

/// What NETSYS v2 and v3 have to be told besides.
const SETUP: &[(usize, u32)] = &[
    (DEFAULT_CPU_PORT1, DEFAULT_CPU_PORT1_VALUE),
    (SBW_CTRL, SBW_CTRL_VALUE),
];

/// NETSYS v1: one PPE; counters in MT7622 only.
const fn v1(spec: Spec) -> Netsys {
    Netsys {
        spec,
        ppes: &[(0x0c00, PsePort(4))],
        gdms: &[(GDM1, GDM1_FWD_CFG), (GDM2, GDM2_FWD_CFG)],
        table: TB_CFG_ENTRY_80B,
        setup: &[],
        mib_width: MibWidth::Narrow,
    }
}

/// NETSYS v2: two PPEs, counters.
const fn v2(name: &'static str) -> Netsys {
    Netsys {
        spec: spec(name, counted(&[GDM2]), &format::NETSYS_V2),
        ppes: &[(0x2000, PsePort(3)), (0x2400, PsePort(4))],
        gdms: &[(GDM1, GDM1_FWD_CFG), (GDM2, GDM2_FWD_CFG)],
        table: TB_CFG_ENTRY_80B | TB_CFG_INFO_SEL,
        setup: SETUP,
        mib_width: MibWidth::Narrow,
    }
}

pub(crate) static MT7621: Netsys = v1(spec("mt7621", UNCOUNTED, &format::NETSYS_V1_BOUNDARY));
pub(crate) static MT7622: Netsys = v1(spec("mt7622", counted(&[]), &format::NETSYS_V1_COUNTED));
pub(crate) static MT7623: Netsys = v1(spec("mt7623", UNCOUNTED, &format::NETSYS_V1));
pub(crate) static MT7981: Netsys = v2("mt7981");
pub(crate) static MT7986: Netsys = v2("mt7986");

/// NETSYS v3: three PPEs, counters of 64 bits.
pub(crate) static MT7988: Netsys = Netsys {
    spec: spec("mt7988", counted(&[GDM2, GDM3]), &format::NETSYS_V3),
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
    setup: SETUP,
    mib_width: MibWidth::Wide,
};
