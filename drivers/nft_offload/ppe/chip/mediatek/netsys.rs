// SPDX-License-Identifier: GPL-2.0-only

//! What the generations have in common: registers are the same, from different places on.
//!
//! Chips with several PPEs have one for each GDM (the MAC side of a port), as the mainline driver
//! uses them. What arrives elsewhere is for the first one.

use super::super::{
    super::{
        bits::{
            lower,
            Field, //
        },
        count::Count,
        flow::PsePort,
        platform::{
            HwError,
            Regs, //
        },
        spec::Spec, //
    },
    Chip,
    Tables, //
};
use super::regs::*;

/// Number of entries of a PPE is `1024 << ENTRY_NUM`.
const ENTRY_NUM: u32 = 4;
pub(super) const ENTRIES: u16 = 1024 << ENTRY_NUM;

/// An entry of the table of counters has 16 bytes.
pub(super) const MIB_WORDS: usize = 4;

/// Time after which a bound entry that carries nothing becomes invalid, in seconds.
///
/// nf_flowtable decides when a flow ends (by default after 30 s without packets), so this is only
/// the net under entries that nobody would take out any more. It has to be shorter than the 256 s
/// after which the entries' timestamp wraps.
const BIND_AGE: u32 = 60;

/// The same after a FIN, which the CPU has seen and acts upon.
const BIND_AGE_FIN: u32 = 1;

/// A register is asked for a second before the engine is given up: long enough for an emulated one
/// on a machine that runs something else for a while. That time is divided into so many turns, each
/// of which asks at least twice, at its begin and after its end. So an engine is not given up
/// because whoever asks, or emulates it, got no processor for so long that all the time went by
/// between two questions.
const WAIT_TURNS: u32 = 10;

/// Length of such a turn, in microseconds.
const TURN_US: u32 = 100_000;

const ETH_HLEN: u32 = 14;
const VLAN_HLEN: u32 = 4;

/// How wide the counters are when they are read one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MibWidth {
    /// Bytes 48 bits, packets 40 bits.
    Narrow,
    /// Both 64 bits.
    Wide,
}

/// A chip, and what differs between the generations.
pub(crate) struct Netsys {
    pub(super) spec: Spec,
    /// Start of each PPE, from the start of the frame engine, and its PSE port. As many as
    /// [`Caps::ppes`](super::super::super::caps::Caps::ppes).
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

/// All registers as ones are what a device answers that is not there any more.
fn alive(value: u32) -> Result<u32, HwError> {
    if value == u32::MAX {
        Err(HwError)
    } else {
        Ok(value)
    }
}

/// Registers of one PPE.
struct Block<'a, R> {
    regs: &'a R,
    base: usize,
}

impl<R: Regs> Block<'_, R> {
    /// The register at `offset` of the PPE. Bases and offsets are constants of 16 bits.
    const fn at(&self, offset: usize) -> usize {
        self.base.wrapping_add(offset)
    }

    fn read(&self, offset: usize) -> Result<u32, HwError> {
        self.read_data(offset).and_then(alive)
    }

    /// As [`Self::read`], for registers in which all ones can be a value.
    fn read_data(&self, offset: usize) -> Result<u32, HwError> {
        self.regs.read(self.at(offset))
    }

    fn write(&self, offset: usize, value: u32) -> Result<(), HwError> {
        self.regs.write(self.at(offset), value)
    }

    fn wait_clear(&self, offset: usize, bit: u32) -> Result<(), HwError> {
        // All ones end the wait as well.
        let done = |value| value & bit == 0 || value == u32::MAX;
        for _ in 0..WAIT_TURNS {
            if let Ok(value) = self.regs.poll(self.at(offset), TURN_US, done) {
                return alive(value).map(|_| ());
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

impl Netsys {
    fn block<'a, R>(&self, regs: &'a R, ppe: usize) -> Result<Block<'a, R>, HwError> {
        let &(base, _) = self.ppes.get(ppe).ok_or(HwError)?;
        Ok(Block { regs, base })
    }

    /// Sets [`GDM_FWD`] of a port, in place, and returns what it was; 0 if the port has none.
    fn forward<R: Regs>(&self, regs: &R, port: PsePort, to: u32) -> Result<u32, HwError> {
        let Some(&(_, offset)) = self.gdms.iter().find(|(gdm, _)| *gdm == port) else {
            return Ok(0);
        };
        let mask = GDM_FWD.put(GDM_FWD.max());
        let config = alive(regs.read(offset)?)?;
        regs.write(offset, (config & !mask) | to)?;
        Ok(config & mask)
    }
}

impl<R: Regs> Chip<R> for Netsys {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn start(&self, regs: &R, ppe: usize, tables: Tables) -> Result<(), HwError> {
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
            TB_CFG_ENTRY_NUM.put(ENTRY_NUM)
                | TB_CFG_SEARCH_MISS.put(SEARCH_MISS_FORWARD)
                | TB_CFG_AGE_TCP
                | TB_CFG_AGE_UDP
                | TB_CFG_AGE_TCP_FIN
                | TB_CFG_HASH_MODE.put(1)
                | TB_CFG_SCAN_MODE.put(SCAN_MODE_CHECK_AGE)
                | self.table,
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
            BIND_AGE0_UDP.put(BIND_AGE) | BIND_AGE0_NON_L4.put(BIND_AGE),
        )?;
        regs.write(
            BIND_AGE1,
            BIND_AGE1_TCP.put(BIND_AGE) | BIND_AGE1_TCP_FIN.put(BIND_AGE_FIN),
        )?;
        regs.write(
            BIND_LIMIT0,
            BIND_LIMIT0_QUARTER.put(BIND_LIMIT0_QUARTER.max())
                | BIND_LIMIT0_HALF.put(BIND_LIMIT0_HALF.max()),
        )?;
        regs.write(BIND_LIMIT1, BIND_LIMIT1_FULL.put(BIND_LIMIT1_FULL.max()))?;
        regs.write(DEFAULT_CPU_PORT, 0)?;
        for &(offset, value) in self.setup {
            regs.write(offset, value)?;
        }
        if self.spec.caps.mib.is_some() {
            regs.write(MIB_TB_BASE, mib)?;
            regs.write(MIB_CFG, MIB_CFG_EN | MIB_CFG_RD_CLR)?;
            regs.write(MIB_CACHE_CTL, MIB_CACHE_CTL_EN)?;
        }
        regs.write(
            GLO_CFG,
            GLO_CFG_EN | GLO_CFG_IP4_L4_CS_DROP | GLO_CFG_IP4_CS_DROP | GLO_CFG_FLOW_DROP_UPDATE,
        )
    }

    fn is_started(&self, regs: &R, ppe: usize, tables: Tables) -> Result<bool, HwError> {
        let regs = self.block(regs, ppe)?;
        let base = regs.read(TB_BASE)?;
        Ok(u64::from(base) == tables.entries && regs.read(GLO_CFG)? & GLO_CFG_EN != 0)
    }

    fn attach_port(&self, regs: &R, port: PsePort) -> Result<u32, HwError> {
        let ppe = self.spec.caps.ppe_of(port);
        let &(_, ppe) = self.ppes.get(ppe).ok_or(HwError)?;
        let four = u32::from(ppe.0).wrapping_mul(0x1111);
        self.forward(regs, port, GDM_FWD.put(four))
    }

    fn restore_port(&self, regs: &R, port: PsePort, before: u32) -> Result<(), HwError> {
        self.forward(regs, port, before).map(|_| ())
    }

    fn stop(&self, regs: &R, ppe: usize) -> Result<(), HwError> {
        let regs = self.block(regs, ppe)?;
        // First what has the engine leave memory alone, also if it does not answer now: a bit that
        // could not be read is better lost than the memory.
        let global = regs.read(GLO_CFG).unwrap_or(0);
        regs.write(GLO_CFG, global & !GLO_CFG_EN)?;
        let table = regs.read(TB_CFG).unwrap_or(0);
        regs.write(
            TB_CFG,
            table & !TB_CFG_SCAN_MODE.put(TB_CFG_SCAN_MODE.max()),
        )?;
        if self.spec.caps.mib.is_some() {
            regs.write(MIB_CFG, 0)?;
        }
        regs.write(FLOW_CFG, 0)?;
        let cleared = regs.clear_cache();
        regs.write(CACHE_CTL, 0)?;
        cleared.and(regs.wait_clear(GLO_CFG, GLO_CFG_BUSY))
    }

    fn clear_cache(&self, regs: &R, ppe: usize) -> Result<(), HwError> {
        self.block(regs, ppe)?.clear_cache()
    }

    fn read_mib(&self, regs: &R, ppe: usize, entry: u16) -> Result<Count, HwError> {
        let regs = self.block(regs, ppe)?;
        let address = MIB_SER_CR_ADDR.put(entry.into());
        regs.write(MIB_SER_CR, address | MIB_SER_CR_ST)?;
        regs.wait_clear(MIB_SER_CR, MIB_SER_CR_ST)?;
        let r0 = regs.read_data(MIB_SER_R0)?;
        let r1 = regs.read_data(MIB_SER_R1)?;
        let r2 = regs.read_data(MIB_SER_R2)?;
        Ok(match self.mib_width {
            MibWidth::Narrow => Count {
                bytes: (u64::from(MIB_SER_R1_BYTES_HIGH.get(r1)) << 32) | u64::from(r0),
                packets: (u64::from(MIB_SER_R2_PACKETS_HIGH.get(r2)) << 16)
                    | u64::from(MIB_SER_R1_PACKETS_LOW.get(r1)),
            },
            MibWidth::Wide => {
                let r3 = regs.read_data(MIB_SER_R3)?;
                Count {
                    bytes: (u64::from(r1) << 32) | u64::from(r0),
                    packets: (u64::from(r3) << 32) | u64::from(r2),
                }
            }
        })
    }

    fn timestamp(&self, regs: &R) -> Result<u16, HwError> {
        regs.read(FE_TIMESTAMP).and_then(alive).map(lower)
    }

    fn set_mtu(&self, regs: &R, ppe: usize, mtu: u32) -> Result<(), HwError> {
        let regs = self.block(regs, ppe)?;
        let frame = |tags: u32, field: Field| {
            field.put(
                mtu.saturating_add(ETH_HLEN)
                    .saturating_add(VLAN_HLEN.saturating_mul(tags))
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
