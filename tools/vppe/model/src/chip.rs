// SPDX-License-Identifier: GPL-2.0-only
//! What differs between chips and between generations of the engine.

/// A bit field of a 32-bit word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Lowest bit.
    pub shift: u32,
    /// Number of bits.
    pub width: u32,
}

impl Field {
    /// The field of bits `high` down to `low`.
    pub const fn new(high: u32, low: u32) -> Self {
        Self {
            shift: low,
            width: high - low + 1,
        }
    }

    /// The one-bit field `bit`.
    pub const fn bit(bit: u32) -> Self {
        Self::new(bit, bit)
    }

    /// The bits of the field, in place.
    pub const fn mask(self) -> u32 {
        (((1u64 << self.width) - 1) as u32) << self.shift
    }

    /// The value of the field in `word`.
    pub const fn get(self, word: u32) -> u32 {
        (word & self.mask()) >> self.shift
    }

    /// `word` with the field set to `value` (cut to the field's width).
    pub const fn set(self, word: u32, value: u32) -> u32 {
        (word & !self.mask()) | ((value << self.shift) & self.mask())
    }
}

/// Where the fields of an entry's information blocks stand.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// IB1 of a bound entry: timestamp of the last hit.
    pub ib1_timestamp: Field,
    /// IB1: number of VLAN tags the frame leaves with.
    pub ib1_vlan_layer: Field,
    /// IB1: the frame leaves with a PPPoE header.
    pub ib1_pppoe: Field,
    /// IB1: the tags are 802.1Q tags (else the first is a switch's special tag).
    pub ib1_vlan_tag: Field,
    /// IB1: TTL or hop limit is decremented.
    pub ib1_ttl: Field,
    /// IB1: packet type.
    pub ib1_type: Field,
    /// IB1 of an entry that is not bound: packets seen.
    ///
    /// **Assumption** for NETSYS v2: bits 22:8. The field that is known, 23:8, is the first
    /// generation's; bit 23 is the lowest of the packet type here.
    pub ib1_unbind_packets: Field,
    /// IB2: PSE port the frame leaves through.
    pub ib2_dest_port: Field,
    /// IB2: the entry is counted.
    pub ib2_mib_cnt: Field,
}

/// What the byte counters of the MIB count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteUnit {
    /// The IP packet: total length of IPv4; 40 + payload length of IPv6.
    Layer3,
    /// The frame as received, without its check sequence.
    Layer2,
}

/// One chip.
#[derive(Debug, Clone, Copy)]
pub struct Chip {
    /// Name as on the command line.
    pub name: &'static str,
    /// Number in the board description.
    pub id: u32,
    /// Offset of the timestamp in the frame engine.
    pub timestamp_reg: u32,
    /// Offset of each engine's register block in the frame engine.
    pub ppe_bases: &'static [u32],
    /// Ways of a bucket.
    pub ways: u32,
    /// PSE ports of the GDMs (the ports' MACs), in order.
    pub gdm_ports: &'static [u8],
    /// PSE port that discards.
    pub drop_port: u8,
    /// Size of an entry in bytes for `TB_CFG.ENTRY_80B` and `TB_CFG.INFO_SEL`.
    ///
    /// **Assumption**: the facts give the size for the values that the known driver
    /// programs. With the others the model takes the size of the older formats, so that
    /// a driver that programs them wrongly reads and writes elsewhere than the engine.
    pub entry_size: fn(entry_80b: bool, info_sel: bool) -> u32,
    /// Bit fields of an entry.
    pub layout: Layout,
    /// Width of the byte counters in bits.
    pub mib_byte_bits: u32,
    /// Width of the packet counters in bits.
    pub mib_packet_bits: u32,
    /// What a byte counter counts.
    ///
    /// **Assumption** for MT7986: layer 3. The known drivers hand the value to
    /// conntrack, which counts layer 3, without a correction.
    pub mib_byte_unit: ByteUnit,
}

/// MediaTek MT7986 (NETSYS v2): two engines, entries of 96 bytes, four ways.
pub static MT7986: Chip = Chip {
    name: "mt7986",
    id: 0x7986,
    timestamp_reg: 0x0010,
    ppe_bases: &[0x2000, 0x2400],
    ways: 4,
    gdm_ports: &[1, 2],
    drop_port: 7,
    entry_size: |entry_80b, info_sel| match (entry_80b, info_sel) {
        (true, true) => 96,
        (true, false) => 80,
        (false, _) => 64,
    },
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
    mib_byte_bits: 48,
    mib_packet_bits: 40,
    mib_byte_unit: ByteUnit::Layer3,
};

/// All chips of the model.
pub static CHIPS: &[&Chip] = &[&MT7986];

/// The chip called `name`.
pub fn by_name(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().copied().find(|chip| chip.name == name)
}
