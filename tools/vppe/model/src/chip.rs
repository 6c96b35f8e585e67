// SPDX-License-Identifier: GPL-2.0-only
//! The properties in which chips and generations differ.

use crate::bits::Field;

/// The fields of an entry's information blocks.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// IB1 of a bound entry: timestamp of the last hit.
    pub ib1_timestamp: Field,
    /// IB1: number of VLAN tags the frame leaves with.
    pub ib1_vlan_layer: Field,
    /// IB1: the frame leaves with a PPPoE header.
    pub ib1_pppoe: Field,
    /// IB1: all tags are 802.1Q tags; otherwise the first is a switch's special tag.
    pub ib1_vlan_tag: Field,
    /// IB1: the PPE decrements TTL or hop limit.
    pub ib1_ttl: Field,
    /// IB1: packet type.
    pub ib1_type: Field,
    /// IB1 of an entry that is not bound: number of packets.
    ///
    /// **Assumption** from NETSYS v2 on: bits 22:8. The facts give 23:8 for the first
    /// generation; in later ones bit 23 is the lowest bit of the packet type.
    pub ib1_unbind_packets: Field,
    /// IB2: PSE port the frame leaves through.
    pub ib2_dest_port: Field,
    /// IB2: the MIB counts packets and bytes.
    pub ib2_mib_cnt: Field,
}

/// The unit of the byte counters of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteUnit {
    /// The IP packet: total length of IPv4; 40 + payload length of IPv6.
    Layer3,
    /// The frame as received, without the check sequence.
    Layer2,
}

/// The properties of the MIB, the counters of the entries.
#[derive(Debug, Clone, Copy)]
pub struct Mib {
    /// Width of the byte counters in bits.
    pub byte_bits: u32,
    /// Width of the packet counters in bits.
    pub packet_bits: u32,
    /// Unit of the byte counters.
    ///
    /// **Assumption**: layer 3, on all chips. The known drivers add the value to conntrack's
    /// counters, which count layer 3, without a correction.
    pub byte_unit: ByteUnit,
    /// Returns the words of `MIB_SER_R0` to `MIB_SER_R3` for these counts.
    pub words: fn(packets: u64, bytes: u64) -> [u32; 4],
}

/// One chip.
#[derive(Debug, Clone, Copy)]
pub struct Chip {
    /// Name on the command line.
    pub name: &'static str,
    /// Number in the board description.
    pub id: u32,
    /// Offset of the timestamp in the frame engine.
    pub timestamp_reg: u32,
    /// Offset of each PPE's register block in the frame engine.
    pub ppe_bases: &'static [u32],
    /// PSE port of each PPE.
    pub ppe_ports: &'static [u8],
    /// Ways of a bucket.
    pub ways: u32,
    /// PSE ports of the GDMs, in order.
    pub gdm_ports: &'static [u8],
    /// Offset of each GDM's forward register in the frame engine.
    pub gdm_regs: &'static [u32],
    /// PSE port that discards.
    pub drop_port: u8,
    /// Size of an entry in bytes for `TB_CFG.ENTRY_80B` and `TB_CFG.INFO_SEL`.
    ///
    /// **Assumption**: the facts give the size for the values that the known driver programs.
    /// For other values the model uses the size of older formats. A driver that programs
    /// wrong values then reads and writes elsewhere than the PPE.
    pub entry_size: fn(entry_80b: bool, info_sel: bool) -> u32,
    /// `TB_CFG.ENTRY_80B` as the known driver programs it.
    pub entry_80b: bool,
    /// `TB_CFG.INFO_SEL` as the known driver programs it.
    pub info_sel: bool,
    /// The PPE cannot use an entry that crosses a multiple of this number of bytes.
    ///
    /// **Assumption**: the facts say that a driver must avoid such entries, not what happens
    /// if it uses one. The model's PPE never matches an entry there, bound or not, and builds
    /// none.
    pub boundary: Option<u32>,
    /// Bit fields of an entry.
    pub layout: Layout,
    /// The counters of the entries; `None` on a chip without counters.
    pub mib: Option<Mib>,
}

impl Chip {
    /// Returns whether the PPE can use an entry of `size` bytes at `addr`.
    pub fn usable(&self, addr: u64, size: u32) -> bool {
        self.boundary.is_none_or(|boundary| {
            let boundary = u64::from(boundary);
            addr / boundary == (addr + u64::from(size) - 1) / boundary
        })
    }
}

const fn mib_48_40(packets: u64, bytes: u64) -> [u32; 4] {
    [
        bytes as u32,
        (bytes >> 32) as u32 & 0xffff | (packets as u32) << 16,
        (packets >> 16) as u32 & 0x00ff_ffff,
        0,
    ]
}

const fn mib_64_64(packets: u64, bytes: u64) -> [u32; 4] {
    [
        bytes as u32,
        (bytes >> 32) as u32,
        packets as u32,
        (packets >> 32) as u32,
    ]
}

const MIB_48_40: Mib = Mib {
    byte_bits: 48,
    packet_bits: 40,
    byte_unit: ByteUnit::Layer3,
    words: mib_48_40,
};

/// NETSYS v1: one PPE, entries of 80 bytes, two ways, no counters.
const NETSYS_V1: Chip = Chip {
    name: "",
    id: 0,
    timestamp_reg: 0x0010,
    ppe_bases: &[0x0c00],
    ppe_ports: &[4],
    ways: 2,
    gdm_ports: &[1, 2],
    gdm_regs: &[0x0500, 0x1500],
    drop_port: 7,
    entry_size: |entry_80b, _| if entry_80b { 80 } else { 64 },
    entry_80b: true,
    info_sel: false,
    boundary: None,
    layout: Layout {
        ib1_timestamp: Field::new(14, 0),
        ib1_vlan_layer: Field::new(18, 16),
        ib1_pppoe: Field::bit(19),
        ib1_vlan_tag: Field::bit(20),
        ib1_ttl: Field::bit(24),
        ib1_type: Field::new(27, 25),
        ib1_unbind_packets: Field::new(23, 8),
        ib2_dest_port: Field::new(7, 5),
        ib2_mib_cnt: Field::bit(10),
    },
    mib: None,
};

/// NETSYS v2: two PPEs, entries of 96 bytes, four ways, counters of 48 and 40 bits.
const NETSYS_V2: Chip = Chip {
    name: "",
    id: 0,
    timestamp_reg: 0x0010,
    ppe_bases: &[0x2000, 0x2400],
    ppe_ports: &[3, 4],
    ways: 4,
    gdm_ports: &[1, 2],
    gdm_regs: &[0x0500, 0x1500],
    drop_port: 7,
    entry_size: |entry_80b, info_sel| match (entry_80b, info_sel) {
        (true, true) => 96,
        (true, false) => 80,
        (false, _) => 64,
    },
    entry_80b: true,
    info_sel: true,
    boundary: None,
    layout: Layout {
        ib1_timestamp: Field::new(7, 0),
        ib1_vlan_layer: Field::new(16, 14),
        ib1_pppoe: Field::bit(17),
        ib1_vlan_tag: Field::bit(18),
        ib1_ttl: Field::bit(22),
        ib1_type: Field::new(27, 23),
        ib1_unbind_packets: Field::new(22, 8),
        ib2_dest_port: Field::new(12, 9),
        ib2_mib_cnt: Field::bit(15),
    },
    mib: Some(MIB_48_40),
};

/// NETSYS v3: three PPEs and three GDMs, entries of 128 bytes with the fields of v2, counters
/// of 64 bits.
const NETSYS_V3: Chip = Chip {
    ppe_bases: &[0x2000, 0x2400, 0x2c00],
    ppe_ports: &[3, 4, 12],
    gdm_ports: &[1, 2, 15],
    gdm_regs: &[0x0500, 0x1500, 0x0540],
    entry_size: |entry_80b, info_sel| match (entry_80b, info_sel) {
        (false, true) => 128,
        (true, true) => 96,
        (true, false) => 80,
        (false, false) => 64,
    },
    entry_80b: false,
    mib: Some(Mib {
        byte_bits: 64,
        packet_bits: 64,
        byte_unit: ByteUnit::Layer3,
        words: mib_64_64,
    }),
    ..NETSYS_V2
};

/// MediaTek MT7621 (NETSYS v1): no counters; entries that cross a multiple of 1024 bytes are
/// unusable.
pub static MT7621: Chip = Chip {
    name: "mt7621",
    id: 0x7621,
    boundary: Some(1024),
    ..NETSYS_V1
};

/// MediaTek MT7623 (NETSYS v1): no counters.
pub static MT7623: Chip = Chip {
    name: "mt7623",
    id: 0x7623,
    ..NETSYS_V1
};

/// MediaTek MT7622 (NETSYS v1): counters of 48 and 40 bits.
pub static MT7622: Chip = Chip {
    name: "mt7622",
    id: 0x7622,
    mib: Some(MIB_48_40),
    ..NETSYS_V1
};

/// MediaTek MT7981 (NETSYS v2).
pub static MT7981: Chip = Chip {
    name: "mt7981",
    id: 0x7981,
    ..NETSYS_V2
};

/// MediaTek MT7986 (NETSYS v2).
pub static MT7986: Chip = Chip {
    name: "mt7986",
    id: 0x7986,
    ..NETSYS_V2
};

/// MediaTek MT7988 (NETSYS v3).
pub static MT7988: Chip = Chip {
    name: "mt7988",
    id: 0x7988,
    ..NETSYS_V3
};

/// All chips of the model.
pub static CHIPS: &[&Chip] = &[&MT7621, &MT7623, &MT7622, &MT7981, &MT7986, &MT7988];

/// Returns the chip called `name`.
pub fn by_name(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().copied().find(|chip| chip.name == name)
}
