// SPDX-License-Identifier: GPL-2.0-only

//! NETSYS v2: MT7986. The chip has two PPEs; the first one serves all ports.

use super::regs::*;
use crate::{
    chip::{
        Chip,
        Tables, //
    },
    ppe::{
        caps::{
            Caps,
            MibUnit, //
        },
        format::{
            netsys,
            Format, //
        },
        table::{
            Count,
            HwError, //
        }, //
    },
    rust::mmio::Registers, //
};
use kernel::error::Error;

/// Start of PPE 0, from the start of the frame engine.
const PPE0: usize = 0x2000;

/// Number of entries is `1024 << ENTRY_NUM`.
const ENTRY_NUM: u32 = 4;

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

const ETH_HLEN: u32 = 14;
const VLAN_HLEN: u32 = 4;

/// MT7986, the chip of the first generation with this PPE.
pub(crate) struct Mt7986;

/// The only instance.
pub(crate) static MT7986: Mt7986 = Mt7986;

static MT7986_CAPS: Caps = Caps {
    ipv4: true,
    ipv6: true,
    nat44: true,
    nat66: false,
    hairpin: false,
    vlan_tags: 0,
    pppoe: false,
    headers: 0,
    // No document says what the bytes of the MIB are. The mainline driver hands them to
    // conntrack, which counts from the IP header on, as they are.
    mib: Some(MibUnit::Layer3),
};

/// All registers as ones are what a device answers that is not there any more.
fn alive(value: Result<u32, Error>) -> Result<u32, HwError> {
    match value {
        Ok(value) if value != u32::MAX => Ok(value),
        _ => Err(HwError),
    }
}

fn read(regs: &Registers, offset: usize) -> Result<u32, HwError> {
    alive(regs.read(PPE0 + offset))
}

/// As [`read`], for registers in which all ones can be a value.
fn read_data(regs: &Registers, offset: usize) -> Result<u32, HwError> {
    regs.read(PPE0 + offset).map_err(|_| HwError)
}

fn write(regs: &Registers, offset: usize, value: u32) -> Result<(), HwError> {
    regs.write(PPE0 + offset, value).map_err(|_| HwError)
}

fn wait_clear(regs: &Registers, offset: usize, bit: u32) -> Result<(), HwError> {
    // All ones end the wait as well.
    let done = |value| value & bit == 0 || value == u32::MAX;
    alive(regs.wait(PPE0 + offset, TIMEOUT_US, done)).map(|_| ())
}

impl Chip for Mt7986 {
    fn name(&self) -> &'static str {
        "mt7986"
    }

    fn caps(&self) -> &'static Caps {
        &MT7986_CAPS
    }

    fn format(&self) -> &'static dyn Format {
        &netsys::NETSYS_V2
    }

    fn entries(&self) -> usize {
        1024 << ENTRY_NUM
    }

    fn mib_words(&self) -> usize {
        MIB_WORDS
    }

    fn start(&self, regs: &Registers, tables: Tables) -> Result<(), HwError> {
        let entries = u32::try_from(tables.entries).map_err(|_| HwError)?;
        let mib = u32::try_from(tables.mib).map_err(|_| HwError)?;

        // Whoever ran the engine before, with the addresses of its own tables.
        let old = read(regs, GLO_CFG)?;
        write(regs, GLO_CFG, old & !GLO_CFG_EN)?;
        wait_clear(regs, GLO_CFG, GLO_CFG_BUSY)?;

        write(regs, TB_BASE, entries)?;
        // Flows are bound when nf_flowtable brings them, so the engine does not have to learn.
        write(
            regs,
            TB_CFG,
            TB_CFG_ENTRY_NUM.set(ENTRY_NUM)
                | TB_CFG_ENTRY_80B
                | TB_CFG_SEARCH_MISS.set(SEARCH_MISS_FORWARD)
                | TB_CFG_AGE_TCP
                | TB_CFG_AGE_UDP
                | TB_CFG_AGE_TCP_FIN
                | TB_CFG_HASH_MODE.set(1)
                | TB_CFG_SCAN_MODE.set(SCAN_MODE_CHECK_AGE)
                | TB_CFG_INFO_SEL,
        )?;
        write(regs, IP_PROTO_CHK, u32::MAX)?;
        self.clear_cache(regs)?;
        write(regs, CACHE_CTL, CACHE_CTL_EN)?;
        write(
            regs,
            FLOW_CFG,
            FLOW_CFG_IP4_NAT | FLOW_CFG_IP4_NAPT | FLOW_CFG_IP6_5T_ROUTE,
        )?;
        write(
            regs,
            BIND_AGE0,
            BIND_AGE0_UDP.set(BIND_AGE) | BIND_AGE0_NON_L4.set(BIND_AGE),
        )?;
        write(
            regs,
            BIND_AGE1,
            BIND_AGE1_TCP.set(BIND_AGE) | BIND_AGE1_TCP_FIN.set(BIND_AGE_FIN),
        )?;
        write(
            regs,
            BIND_LIMIT0,
            BIND_LIMIT0_QUARTER.set(BIND_LIMIT0_QUARTER.max())
                | BIND_LIMIT0_HALF.set(BIND_LIMIT0_HALF.max()),
        )?;
        write(
            regs,
            BIND_LIMIT1,
            BIND_LIMIT1_FULL.set(BIND_LIMIT1_FULL.max()),
        )?;
        write(regs, DEFAULT_CPU_PORT, 0)?;
        write(regs, MIB_TB_BASE, mib)?;
        write(regs, MIB_CFG, MIB_CFG_EN | MIB_CFG_RD_CLR)?;
        write(regs, MIB_CACHE_CTL, MIB_CACHE_CTL_EN)?;
        write(
            regs,
            GLO_CFG,
            GLO_CFG_EN | GLO_CFG_IP4_L4_CS_DROP | GLO_CFG_IP4_CS_DROP | GLO_CFG_FLOW_DROP_UPDATE,
        )
    }

    fn stop(&self, regs: &Registers) -> Result<(), HwError> {
        self.clear_cache(regs)?;
        write(regs, CACHE_CTL, 0)?;
        write(regs, FLOW_CFG, 0)?;
        let config = read(regs, TB_CFG)?;
        write(
            regs,
            TB_CFG,
            config & !TB_CFG_SCAN_MODE.set(TB_CFG_SCAN_MODE.max()),
        )?;
        let global = read(regs, GLO_CFG)?;
        write(regs, GLO_CFG, global & !GLO_CFG_EN)?;
        write(regs, MIB_CFG, 0)?;
        wait_clear(regs, GLO_CFG, GLO_CFG_BUSY)
    }

    fn clear_cache(&self, regs: &Registers) -> Result<(), HwError> {
        let control = read(regs, CACHE_CTL)?;
        write(regs, CACHE_CTL, control | CACHE_CTL_CLEAR)?;
        write(regs, CACHE_CTL, control & !CACHE_CTL_CLEAR)
    }

    fn read_mib(&self, regs: &Registers, slot: u16) -> Result<Count, HwError> {
        write(
            regs,
            MIB_SER_CR,
            MIB_SER_CR_ADDR.set(slot.into()) | MIB_SER_CR_ST,
        )?;
        wait_clear(regs, MIB_SER_CR, MIB_SER_CR_ST)?;
        let r0 = read_data(regs, MIB_SER_R0)?;
        let r1 = read_data(regs, MIB_SER_R1)?;
        let r2 = read_data(regs, MIB_SER_R2)?;
        Ok(Count {
            bytes: u64::from(MIB_SER_R1_BYTES_HIGH.get(r1)) << 32 | u64::from(r0),
            packets: u64::from(MIB_SER_R2_PACKETS_HIGH.get(r2)) << 16
                | u64::from(MIB_SER_R1_PACKETS_LOW.get(r1)),
        })
    }

    fn timestamp(&self, regs: &Registers) -> Result<u16, HwError> {
        // CAST: Entries hold the lowest bits.
        alive(regs.read(FE_TIMESTAMP)).map(|seconds| seconds as u16)
    }

    fn set_mtu(&self, regs: &Registers, mtu: u32) -> Result<(), HwError> {
        let frame = |tags: u32, field: Field| {
            field.set(
                mtu.saturating_add(ETH_HLEN + tags * VLAN_HLEN)
                    .min(field.max()),
            )
        };
        write(
            regs,
            VLAN_MTU0,
            frame(0, VLAN_MTU0_NONE) | frame(1, VLAN_MTU0_1TAG),
        )?;
        write(
            regs,
            VLAN_MTU1,
            frame(2, VLAN_MTU1_2TAG) | frame(3, VLAN_MTU1_3TAG),
        )
    }
}
