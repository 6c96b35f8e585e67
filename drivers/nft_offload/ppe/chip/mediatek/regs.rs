// SPDX-License-Identifier: GPL-2.0-only

//! Registers. Offsets and fields as the mainline driver of these chips uses them, by the names it
//! has for them (`mtk_ppe_regs.h`).

use super::super::super::bits::{
    bit,
    Field, //
};

/// The frame engine's clock in seconds, from the start of the frame engine's registers.
pub const FE_TIMESTAMP: usize = 0x0010;

/// Where the frames of GDM1 (the MAC side of a port) go, from the start of the frame engine's
/// registers.
pub const GDM1_FWD_CFG: usize = 0x0500;
/// The same for GDM2.
pub const GDM2_FWD_CFG: usize = 0x1500;
/// The same for GDM3, since NETSYS v3.
pub const GDM3_FWD_CFG: usize = 0x0540;
/// Four PSE ports of four bits each, by kind of destination address.
pub const GDM_FWD: Field = Field::new(15, 0);

// All that follow count from the start of a PPE's registers.

/// Global configuration.
pub const GLO_CFG: usize = 0x200;
/// The engine looks up frames.
pub const GLO_CFG_EN: u32 = bit(0);
/// Drop frames with a wrong TCP or UDP checksum over IPv4.
pub const GLO_CFG_IP4_L4_CS_DROP: u32 = bit(2);
/// Drop frames with a wrong IPv4 header checksum.
pub const GLO_CFG_IP4_CS_DROP: u32 = bit(3);
/// Dropped frames update the entry, too.
pub const GLO_CFG_FLOW_DROP_UPDATE: u32 = bit(9);
/// The engine is working on its table.
pub const GLO_CFG_BUSY: u32 = bit(31);

/// Which kinds of flows are looked up.
pub const FLOW_CFG: usize = 0x204;
/// IPv6 by addresses, ports and protocol.
pub const FLOW_CFG_IP6_5T_ROUTE: u32 = bit(9);
/// IPv4 by addresses.
pub const FLOW_CFG_IP4_NAT: u32 = bit(12);
/// IPv4 by addresses and ports.
pub const FLOW_CFG_IP4_NAPT: u32 = bit(13);

/// IP protocols that are looked up, one bit each of eight: IPv4 15:0, IPv6 31:16.
pub const IP_PROTO_CHK: usize = 0x208;

/// Table configuration.
pub const TB_CFG: usize = 0x21c;
/// Number of entries: 1024 << value.
pub const TB_CFG_ENTRY_NUM: Field = Field::new(2, 0);
/// The larger of the entry sizes of NETSYS v1 and v2.
pub const TB_CFG_ENTRY_80B: u32 = bit(3);
/// What becomes of frames without entry.
pub const TB_CFG_SEARCH_MISS: Field = Field::new(5, 4);
/// They go to the CPU, and no entry is made.
pub const SEARCH_MISS_FORWARD: u32 = 2;
/// Bound entries of TCP flows age.
pub const TB_CFG_AGE_TCP: u32 = bit(9);
/// Bound entries of UDP flows age.
pub const TB_CFG_AGE_UDP: u32 = bit(10);
/// Entries that saw a FIN age.
pub const TB_CFG_AGE_TCP_FIN: u32 = bit(11);
/// Which of the hash functions is used.
pub const TB_CFG_HASH_MODE: Field = Field::new(15, 14);
/// What the scan of the table does.
pub const TB_CFG_SCAN_MODE: Field = Field::new(17, 16);
/// It checks the age of entries.
pub const SCAN_MODE_CHECK_AGE: u32 = 1;
/// Which information frames to the CPU carry.
pub const TB_CFG_INFO_SEL: u32 = bit(20);

/// Address of the table.
pub const TB_BASE: usize = 0x220;

/// Age at which bound entries become invalid, in ticks.
pub const BIND_AGE0: usize = 0x23c;
/// UDP.
pub const BIND_AGE0_UDP: Field = Field::new(14, 0);
/// Neither TCP nor UDP.
pub const BIND_AGE0_NON_L4: Field = Field::new(30, 16);
/// Age at which bound entries become invalid, in ticks.
pub const BIND_AGE1: usize = 0x240;
/// TCP.
pub const BIND_AGE1_TCP: Field = Field::new(14, 0);
/// TCP after a FIN.
pub const BIND_AGE1_TCP_FIN: Field = Field::new(30, 16);

/// How many entries may be bound when the table is a quarter and half full.
pub const BIND_LIMIT0: usize = 0x22c;
/// A quarter full.
pub const BIND_LIMIT0_QUARTER: Field = Field::new(13, 0);
/// Half full.
pub const BIND_LIMIT0_HALF: Field = Field::new(29, 16);
/// How many entries may be bound when the table is full.
pub const BIND_LIMIT1: usize = 0x230;
/// Full.
pub const BIND_LIMIT1_FULL: Field = Field::new(13, 0);

/// Port of the CPU, by source port.
pub const DEFAULT_CPU_PORT: usize = 0x248;
/// The same for the source ports from 8 on, since NETSYS v2.
pub const DEFAULT_CPU_PORT1: usize = 0x24c;
/// Four bits a port, as the mainline driver sets them.
pub const DEFAULT_CPU_PORT1_VALUE: u32 = 0x000c_b777;

/// Largest frames forwarded, in bytes from the Ethernet header on, by number of tags.
pub const VLAN_MTU0: usize = 0x30c;
/// Without tag.
pub const VLAN_MTU0_NONE: Field = Field::new(13, 0);
/// One tag.
pub const VLAN_MTU0_1TAG: Field = Field::new(29, 16);
/// Largest frames forwarded, in bytes from the Ethernet header on, by number of tags.
pub const VLAN_MTU1: usize = 0x310;
/// Two tags.
pub const VLAN_MTU1_2TAG: Field = Field::new(13, 0);
/// Three tags.
pub const VLAN_MTU1_3TAG: Field = Field::new(29, 16);

/// Cache control.
pub const CACHE_CTL: usize = 0x320;
/// The cache is used.
pub const CACHE_CTL_EN: u32 = bit(0);
/// Forgets all lines while set.
pub const CACHE_CTL_CLEAR: u32 = bit(9);

/// Counters of entries.
pub const MIB_CFG: usize = 0x334;
/// Entries are counted.
pub const MIB_CFG_EN: u32 = bit(0);
/// Reading clears.
pub const MIB_CFG_RD_CLR: u32 = bit(1);
/// Address of the table of counters.
pub const MIB_TB_BASE: usize = 0x338;
/// Asks for the counters of an entry.
pub const MIB_SER_CR: usize = 0x33c;
/// Number of the entry.
pub const MIB_SER_CR_ADDR: Field = Field::new(13, 0);
/// Starts reading; clear when done.
pub const MIB_SER_CR_ST: u32 = bit(16);
/// Bytes, bits 31:0.
pub const MIB_SER_R0: usize = 0x340;
/// Bytes, bits 47:32, and packets, bits 15:0.
pub const MIB_SER_R1: usize = 0x344;
/// Bits 47:32 of the bytes.
pub const MIB_SER_R1_BYTES_HIGH: Field = Field::new(15, 0);
/// Bits 15:0 of the packets.
pub const MIB_SER_R1_PACKETS_LOW: Field = Field::new(31, 16);
/// Packets, bits 39:16.
pub const MIB_SER_R2: usize = 0x348;
/// Bits 39:16 of the packets.
pub const MIB_SER_R2_PACKETS_HIGH: Field = Field::new(23, 0);
/// Since NETSYS v3: packets, bits 63:32; R0 to R2 are the bits 31:0 and 63:32 of the bytes, and 31:0 of
/// the packets.
pub const MIB_SER_R3: usize = 0x34c;
/// Cache of the table of counters.
pub const MIB_CACHE_CTL: usize = 0x350;
/// The cache is used.
pub const MIB_CACHE_CTL_EN: u32 = bit(0);

/// No document says what this is; the mainline driver sets it since NETSYS v2.
pub const SBW_CTRL: usize = 0x374;
/// What it sets it to.
pub const SBW_CTRL_VALUE: u32 = 0x7f;
