// SPDX-License-Identifier: GPL-2.0-only

//! What the generations have in common: registers are the same, from different places on.
//!
//! Chips with several PPEs have one for each GDM (the MAC side of a port), as the mainline driver
//! uses them. What arrives elsewhere is for the first one.

use super::regs::*;
use crate::{
    chip::{
        Chip,
        Tables, //
    },
    ppe::{
        caps::{
            Caps,
            DsaCaps,
            MibUnit, //
        },
        count::Count,
        flow::{
            DsaTag,
            PsePort, //
        },
        format::{
            netsys,
            Format, //
        },
        table::HwError, //
    },
    rust::{
        dsa,
        mmio::Registers, //
    }, //
};
use kernel::error::Error;

/// Number of entries of a PPE is `1024 << ENTRY_NUM`.
const ENTRY_NUM: u32 = 4;
const ENTRIES: u16 = 1024 << ENTRY_NUM;

/// PSE port of the first GDM.
pub(super) const GDM1: PsePort = PsePort(1);
/// PSE port of the second GDM.
pub(super) const GDM2: PsePort = PsePort(2);
/// PSE port of the third GDM, since NETSYS v3.
pub(super) const GDM3: PsePort = PsePort(15);

/// An entry of the table of counters has 16 bytes.
const MIB_WORDS: usize = 4;

/// Time after which a bound entry that carries nothing becomes invalid, in seconds.
///
/// nf_flowtable decides when a flow ends (by default after 30 s without packets), so this is only
/// the net under entries that nobody would take out any more. It has to be shorter than the 256 s
/// after which the entries' timestamp wraps.
const BIND_AGE: u32 = 60;

/// The same after a FIN, which the CPU has seen and acts upon.
const BIND_AGE_FIN: u32 = 1;

/// A register is asked for this long, in microseconds, before the engine is given up: long enough
/// for an emulated one on a machine that runs something else for a while.
const TIMEOUT_US: i32 = 1_000_000;

/// That time is divided into as many turns, each of which asks at least twice, at its begin and
/// after its end. So an engine is not given up because whoever asks, or emulates it, got no
/// processor for so long that all the time went by between two questions.
const WAIT_TURNS: i32 = 10;

const ETH_HLEN: u32 = 14;
const VLAN_HLEN: u32 = 4;

/// Capabilities of all chips, but for the counters.
const CAPS_UNCOUNTED: Caps = Caps {
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
        tag: DsaTag(dsa::TAG_MTK),
        ports: netsys::DSA_PORTS,
    }),
    mib: None,
    apart: &[],
};

/// Capabilities of chips with one PPE and without counters.
pub(super) static UNCOUNTED: Caps = CAPS_UNCOUNTED;

/// Capabilities of chips with one PPE and with counters.
pub(super) const COUNTED: Caps = Caps {
    // No document says what the bytes of the MIB are. The mainline driver hands them to
    // conntrack, which counts from the IP header on, as they are.
    mib: Some(MibUnit::Layer3),
    ..CAPS_UNCOUNTED
};

/// How wide the counters are when they are read one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MibWidth {
    /// Bytes 48 bits, packets 40 bits.
    Narrow,
    /// Both 64 bits.
    Wide,
}

/// What differs between the generations.
pub(super) struct Generation {
    /// Start of each PPE, from the start of the frame engine, and its PSE port. As many as
    /// [`Caps::parts`].
    pub(super) ppes: &'static [(usize, PsePort)],
    /// PSE port of each GDM and its register [`GDM1_FWD_CFG`], from the start of the frame
    /// engine.
    pub(super) gdms: &'static [(PsePort, usize)],
    /// Bits of [`TB_CFG`] besides those that all have.
    pub(super) table: u32,
    /// Registers that the others do not have, and their values.
    pub(super) setup: &'static [(usize, u32)],
    /// Width of the counters.
    pub(super) mib_width: MibWidth,
}

/// The PPEs of a chip.
pub(crate) struct Ppe {
    pub(super) name: &'static str,
    pub(super) generation: &'static Generation,
    pub(super) format: &'static netsys::Netsys,
    pub(super) caps: &'static Caps,
}

/// All registers as ones are what a device answers that is not there any more.
fn alive(value: Result<u32, Error>) -> Result<u32, HwError> {
    match value {
        Ok(value) if value != u32::MAX => Ok(value),
        _ => Err(HwError),
    }
}

/// Registers of one PPE.
struct Block<'a> {
    regs: &'a Registers,
    base: usize,
}

impl Block<'_> {
    fn read(&self, offset: usize) -> Result<u32, HwError> {
        alive(self.regs.read(self.base + offset))
    }

    /// As [`Self::read`], for registers in which all ones can be a value.
    fn read_data(&self, offset: usize) -> Result<u32, HwError> {
        self.regs.read(self.base + offset).map_err(|_| HwError)
    }

    fn write(&self, offset: usize, value: u32) -> Result<(), HwError> {
        let written = self.regs.write(self.base + offset, value);
        written.map_err(|_| HwError)
    }

    fn wait_clear(&self, offset: usize, bit: u32) -> Result<(), HwError> {
        // All ones end the wait as well.
        let done = |value| value & bit == 0 || value == u32::MAX;
        for _ in 0..WAIT_TURNS {
            let at = self.base + offset;
            if let Ok(value) = self.regs.wait(at, TIMEOUT_US / WAIT_TURNS, done) {
                return alive(Ok(value)).map(|_| ());
            }
        }
        Err(HwError)
    }

    fn clear_cache(&self) -> Result<(), HwError> {
        let control = self.read(CACHE_CTL)?;
        self.write(CACHE_CTL, control | CACHE_CTL_CLEAR)?;
        self.write(CACHE_CTL, control & !CACHE_CTL_CLEAR)
    }
}

impl Ppe {
    fn block<'a>(&self, regs: &'a Registers, ppe: usize) -> Result<Block<'a>, HwError> {
        let &(base, _) = self.generation.ppes.get(ppe).ok_or(HwError)?;
        Ok(Block { regs, base })
    }

    /// Sets [`GDM_FWD`] of a port, in place, and returns what it was; 0 if the port has none.
    fn forward(&self, regs: &Registers, port: PsePort, to: u32) -> Result<u32, HwError> {
        let mut gdms = self.generation.gdms.iter();
        let Some(&(_, offset)) = gdms.find(|(gdm, _)| *gdm == port) else {
            return Ok(0);
        };
        let mask = GDM_FWD.set(GDM_FWD.max());
        let config = alive(regs.read(offset))?;
        regs.write(offset, (config & !mask) | to)
            .map_err(|_| HwError)?;
        Ok(config & mask)
    }
}

impl Chip for Ppe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn caps(&self) -> &'static Caps {
        self.caps
    }

    fn format(&self) -> &'static dyn Format {
        self.format
    }

    fn entries(&self) -> usize {
        ENTRIES.into()
    }

    fn locate(&self, slot: u16) -> (usize, u16) {
        ((slot / ENTRIES).into(), slot % ENTRIES)
    }

    fn mib_words(&self) -> usize {
        if self.caps.mib.is_some() {
            MIB_WORDS
        } else {
            0
        }
    }

    fn start(&self, regs: &Registers, ppe: usize, tables: Tables) -> Result<(), HwError> {
        let regs = self.block(regs, ppe)?;
        let entries = u32::try_from(tables.entries).map_err(|_| HwError)?;
        let mib = u32::try_from(tables.mib).map_err(|_| HwError)?;

        // Whoever ran the engine before, with the addresses of its own tables.
        let old = regs.read(GLO_CFG)?;
        regs.write(GLO_CFG, old & !GLO_CFG_EN)?;
        regs.wait_clear(GLO_CFG, GLO_CFG_BUSY)?;

        regs.write(TB_BASE, entries)?;
        // Flows are bound when nf_flowtable brings them, so the engine does not have to learn.
        regs.write(
            TB_CFG,
            TB_CFG_ENTRY_NUM.set(ENTRY_NUM)
                | TB_CFG_SEARCH_MISS.set(SEARCH_MISS_FORWARD)
                | TB_CFG_AGE_TCP
                | TB_CFG_AGE_UDP
                | TB_CFG_AGE_TCP_FIN
                | TB_CFG_HASH_MODE.set(1)
                | TB_CFG_SCAN_MODE.set(SCAN_MODE_CHECK_AGE)
                | self.generation.table,
        )?;
        regs.write(IP_PROTO_CHK, u32::MAX)?;
        regs.clear_cache()?;
        regs.write(CACHE_CTL, CACHE_CTL_EN)?;
        regs.write(
            FLOW_CFG,
            FLOW_CFG_IP4_NAT | FLOW_CFG_IP4_NAPT | FLOW_CFG_IP6_5T_ROUTE,
        )?;
        regs.write(
            BIND_AGE0,
            BIND_AGE0_UDP.set(BIND_AGE) | BIND_AGE0_NON_L4.set(BIND_AGE),
        )?;
        regs.write(
            BIND_AGE1,
            BIND_AGE1_TCP.set(BIND_AGE) | BIND_AGE1_TCP_FIN.set(BIND_AGE_FIN),
        )?;
        regs.write(
            BIND_LIMIT0,
            BIND_LIMIT0_QUARTER.set(BIND_LIMIT0_QUARTER.max())
                | BIND_LIMIT0_HALF.set(BIND_LIMIT0_HALF.max()),
        )?;
        regs.write(BIND_LIMIT1, BIND_LIMIT1_FULL.set(BIND_LIMIT1_FULL.max()))?;
        regs.write(DEFAULT_CPU_PORT, 0)?;
        for &(offset, value) in self.generation.setup {
            regs.write(offset, value)?;
        }
        if self.caps.mib.is_some() {
            regs.write(MIB_TB_BASE, mib)?;
            regs.write(MIB_CFG, MIB_CFG_EN | MIB_CFG_RD_CLR)?;
            regs.write(MIB_CACHE_CTL, MIB_CACHE_CTL_EN)?;
        }
        regs.write(
            GLO_CFG,
            GLO_CFG_EN | GLO_CFG_IP4_L4_CS_DROP | GLO_CFG_IP4_CS_DROP | GLO_CFG_FLOW_DROP_UPDATE,
        )
    }

    fn is_started(&self, regs: &Registers, ppe: usize, tables: Tables) -> Result<bool, HwError> {
        let regs = self.block(regs, ppe)?;
        let base = regs.read(TB_BASE)?;
        Ok(u64::from(base) == tables.entries && regs.read(GLO_CFG)? & GLO_CFG_EN != 0)
    }

    fn direct(&self, regs: &Registers, port: PsePort) -> Result<u32, HwError> {
        let ppe = self.caps.part(port);
        let &(_, ppe) = self.generation.ppes.get(ppe).ok_or(HwError)?;
        self.forward(regs, port, GDM_FWD.set(u32::from(ppe.0) * 0x1111))
    }

    fn redirect(&self, regs: &Registers, port: PsePort, before: u32) -> Result<(), HwError> {
        self.forward(regs, port, before).map(|_| ())
    }

    fn stop(&self, regs: &Registers, ppe: usize) -> Result<(), HwError> {
        let regs = self.block(regs, ppe)?;
        // First what has the engine leave memory alone, also if it does not answer now: a bit that
        // could not be read is better lost than the memory.
        let global = regs.read(GLO_CFG).unwrap_or(0);
        regs.write(GLO_CFG, global & !GLO_CFG_EN)?;
        let table = regs.read(TB_CFG).unwrap_or(0);
        regs.write(
            TB_CFG,
            table & !TB_CFG_SCAN_MODE.set(TB_CFG_SCAN_MODE.max()),
        )?;
        if self.caps.mib.is_some() {
            regs.write(MIB_CFG, 0)?;
        }
        regs.write(FLOW_CFG, 0)?;
        let cleared = regs.clear_cache();
        regs.write(CACHE_CTL, 0)?;
        cleared.and(regs.wait_clear(GLO_CFG, GLO_CFG_BUSY))
    }

    fn clear_cache(&self, regs: &Registers, ppe: usize) -> Result<(), HwError> {
        self.block(regs, ppe)?.clear_cache()
    }

    fn read_mib(&self, regs: &Registers, slot: u16) -> Result<Count, HwError> {
        let (ppe, slot) = self.locate(slot);
        let regs = self.block(regs, ppe)?;
        regs.write(MIB_SER_CR, MIB_SER_CR_ADDR.set(slot.into()) | MIB_SER_CR_ST)?;
        regs.wait_clear(MIB_SER_CR, MIB_SER_CR_ST)?;
        let r0 = regs.read_data(MIB_SER_R0)?;
        let r1 = regs.read_data(MIB_SER_R1)?;
        let r2 = regs.read_data(MIB_SER_R2)?;
        Ok(match self.generation.mib_width {
            MibWidth::Narrow => Count {
                bytes: u64::from(MIB_SER_R1_BYTES_HIGH.get(r1)) << 32 | u64::from(r0),
                packets: u64::from(MIB_SER_R2_PACKETS_HIGH.get(r2)) << 16
                    | u64::from(MIB_SER_R1_PACKETS_LOW.get(r1)),
            },
            MibWidth::Wide => {
                let r3 = regs.read_data(MIB_SER_R3)?;
                Count {
                    bytes: u64::from(r1) << 32 | u64::from(r0),
                    packets: u64::from(r3) << 32 | u64::from(r2),
                }
            }
        })
    }

    fn timestamp(&self, regs: &Registers) -> Result<u16, HwError> {
        // CAST: Entries hold the lowest bits.
        alive(regs.read(FE_TIMESTAMP)).map(|seconds| seconds as u16)
    }

    fn set_mtu(&self, regs: &Registers, ppe: usize, mtu: u32) -> Result<(), HwError> {
        let regs = self.block(regs, ppe)?;
        let frame = |tags: u32, field: Field| {
            field.set(
                mtu.saturating_add(ETH_HLEN + tags * VLAN_HLEN)
                    .min(field.max()),
            )
        };
        regs.write(
            VLAN_MTU0,
            frame(0, VLAN_MTU0_NONE) | frame(1, VLAN_MTU0_1TAG),
        )?;
        regs.write(
            VLAN_MTU1,
            frame(2, VLAN_MTU1_2TAG) | frame(3, VLAN_MTU1_3TAG),
        )
    }
}
