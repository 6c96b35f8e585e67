// SPDX-License-Identifier: GPL-2.0-only

//! What differs between the generations.

use super::super::super::bits::Field;

/// IB1, all generations: state (0 invalid, 1 unbound, 2 bound, 3 FIN).
pub(super) const IB1_STATE: Field = Field::new(29, 28);
/// State in [`IB1_STATE`].
pub(super) const STATE_BIND: u32 = 2;

/// Fields of IB1 in a bound entry that differ between generations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ib1 {
    /// Time of the last frame, in seconds of the engine's clock.
    pub(super) timestamp: Field,
    /// Number of tags to put on.
    pub(super) vlan_layer: Field,
    /// A PPPoE header is put on.
    pub(super) pppoe: Field,
    /// The tags are 802.1Q tags, and not a switch's own.
    pub(super) vlan_tag: Field,
    /// Type.
    pub(super) kind: Field,
    /// TTL or hop limit is decremented.
    pub(super) ttl: Field,
    /// What every bound entry has: its state, and that the engine may keep it in its cache.
    pub(super) preset: u32,
}

/// Fields of IB2 that differ between generations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ib2 {
    /// Queue of the transmit DMA engine (QDMA).
    pub(super) qid: Field,
    /// PSE port at which frames leave.
    pub(super) dest_port: Field,
    /// What every entry has: that frames go through the queue (PSE_QOS), that they are
    /// counted in the entry's MIB (MIB_CNT) if there is one, and the accounting group that
    /// stands for none (PORT_AG).
    pub(super) preset: u32,
}

/// What differs between generations.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub(super) words: usize,
    pub(super) ways: u16,
    /// Length of the pieces of memory, in bytes, that an entry must not lie in two of.
    pub(super) boundary: Option<usize>,
    pub(super) ib1: Ib1,
    pub(super) ib2: Ib2,
}

/// The engine may keep the entry in its cache, NETSYS v1.
const IB1_V1_CACHE: u32 = 1 << 22;
/// The engine may keep the entry in its cache, from NETSYS v2 on.
const IB1_V2_CACHE: u32 = 1 << 20;

/// IB1 of NETSYS v1.
const IB1_V1: Ib1 = Ib1 {
    timestamp: Field::new(14, 0),
    vlan_layer: Field::new(18, 16),
    pppoe: Field::bit(19),
    vlan_tag: Field::bit(20),
    kind: Field::new(27, 25),
    ttl: Field::bit(24),
    preset: IB1_STATE.put(STATE_BIND) | IB1_V1_CACHE,
};

/// IB2 of NETSYS v1 with counters: the accounting group is 0x1f, the meter group
/// (PORT_MG, bits 17:12) 0.
pub(super) const IB2_V1: Ib2 = Ib2 {
    qid: Field::new(3, 0),
    dest_port: Field::new(7, 5),
    preset: IB2_V1_PSE_QOS | IB2_V1_MIB_CNT | IB2_V1_PORT_AG,
};

/// IB2 of NETSYS v1 without counters, where the meter group that stands for none is 0x3f.
const IB2_V1_UNCOUNTED: Ib2 = Ib2 {
    preset: IB2_V1_PSE_QOS | IB2_V1_PORT_AG | Field::new(17, 12).put(0x3f),
    ..IB2_V1
};

const IB2_V1_PSE_QOS: u32 = 1 << 4;
const IB2_V1_MIB_CNT: u32 = 1 << 10;
const IB2_V1_PORT_AG: u32 = Field::new(23, 18).put(0x1f);

/// IB1 from NETSYS v2 on.
const IB1_V2: Ib1 = Ib1 {
    timestamp: Field::new(7, 0),
    vlan_layer: Field::new(16, 14),
    pppoe: Field::bit(17),
    vlan_tag: Field::bit(18),
    kind: Field::new(27, 23),
    ttl: Field::bit(22),
    preset: IB1_STATE.put(STATE_BIND) | IB1_V2_CACHE,
};

/// IB2 from NETSYS v2 on.
const IB2_V2: Ib2 = Ib2 {
    qid: Field::new(6, 0),
    dest_port: Field::new(12, 9),
    preset: IB2_V2_PSE_QOS | IB2_V2_MIB_CNT | Field::new(23, 20).put(0xf),
};

const IB2_V2_PSE_QOS: u32 = 1 << 8;
const IB2_V2_MIB_CNT: u32 = 1 << 15;

/// NETSYS v1: entries of 80 bytes, two ways, no counters.
pub(super) const LAYOUT_V1: Layout = Layout {
    words: 20,
    ways: 2,
    boundary: None,
    ib1: IB1_V1,
    ib2: IB2_V1_UNCOUNTED,
};

/// NETSYS v2: entries of 96 bytes, four ways, with counters.
pub(super) const LAYOUT_V2: Layout = Layout {
    words: 24,
    ways: 4,
    boundary: None,
    ib1: IB1_V2,
    ib2: IB2_V2,
};

/// NETSYS v3: entries of 128 bytes, otherwise as v2.
pub(super) const LAYOUT_V3: Layout = Layout {
    words: 32,
    ..LAYOUT_V2
};
