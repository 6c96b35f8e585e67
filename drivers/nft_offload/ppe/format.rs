// SPDX-License-Identifier: GPL-2.0-only

//! Entries of a PPE's flow table (FOE: flow offload entries), whatever the chip: what
//! they are asked for, and how they are shown. One file per family of formats.

use core::fmt;

use super::{
    flow::{
        Flow,
        Mac,
        PsePort,
        Tuple,
        L4, //
    },
    reject::Reject, //
};

pub mod netsys;

/// Words in the longest entry of any format.
pub const MAX_WORDS: usize = 32;

/// The words of an entry, each a number in host byte order. Word 0 has the state and is
/// written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    words: [u32; MAX_WORDS],
    len: usize,
}

impl Entry {
    /// An entry of `len` words (at most [`MAX_WORDS`]), all zero.
    pub const fn new(len: usize) -> Self {
        let len = if len < MAX_WORDS { len } else { MAX_WORDS };
        Self {
            words: [0; MAX_WORDS],
            len,
        }
    }

    /// Cuts an entry of all words down to `len`. Gives all words nevertheless, as one whose place is
    /// known when this is compiled then needs no check; those from `len` on have to stay zero.
    #[inline(always)]
    fn cut(&mut self, len: usize) -> &mut [u32; MAX_WORDS] {
        self.len = len.min(MAX_WORDS);
        &mut self.words
    }

    /// All words.
    pub fn words(&self) -> &[u32] {
        self.words.get(..self.len).unwrap_or(&[])
    }

    /// Word 0: the state.
    pub fn word0(&self) -> u32 {
        self.words().first().copied().unwrap_or(0)
    }

    /// The words from 1 on.
    pub fn body(&self) -> &[u32] {
        self.words().get(1..).unwrap_or(&[])
    }

    /// Sets a word. Nothing happens if the entry does not have it.
    pub fn set(&mut self, at: usize, value: u32) {
        if at < self.len {
            if let Some(word) = self.words.get_mut(at) {
                *word = value;
            }
        }
    }
}

/// The state of an entry, in word 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The slot is empty.
    Invalid,
    /// The engine has seen the flow; its frames go to the CPU.
    Unbound,
    /// The engine forwards the flow.
    Bound,
    /// The engine has seen the flow's end.
    Fin,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Invalid => "INV",
            Self::Unbound => "UNB",
            Self::Bound => "BND",
            Self::Fin => "FIN",
        })
    }
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 by addresses and ports, with address and port translation.
    V4Napt,
    /// IPv4 by addresses.
    V4Route,
    /// Ethernet addresses.
    Bridge,
    /// IPv4 in IPv6.
    DsLite,
    /// IPv6 by addresses.
    V6Route3,
    /// IPv6 by addresses and ports.
    V6Route5,
    /// IPv6 in IPv4.
    SixRd,
    /// Not known.
    Unknown(u8),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4Napt => "IPv4 5T",
            Self::V4Route => "IPv4 3T",
            Self::DsLite => "DS-LITE",
            Self::V6Route3 => "IPv6 3T",
            Self::V6Route5 => "IPv6 5T",
            Self::SixRd => "6RD",
            Self::Bridge | Self::Unknown(_) => "UNKNOWN",
        })
    }
}

/// What the words of an entry say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// State.
    pub state: State,
    /// Kind.
    pub kind: Kind,
    /// Transport protocol.
    pub l4: L4,
    /// Addresses and ports as frames arrive (ports are 0 in kinds without ports); `None`
    /// for kinds that have other keys.
    pub orig: Option<Tuple>,
    /// Addresses and ports as they leave, for kinds with translation.
    pub new: Option<Tuple>,
    /// Source Ethernet address as they leave.
    pub smac: [u8; 6],
    /// Destination Ethernet address as they leave.
    pub dmac: [u8; 6],
    /// EtherType field, as a number.
    pub etype: u16,
    /// VLAN ID fields, outer first, whether in use or not.
    pub vlan: [u16; 2],
    /// Tags in use. A switch's own tag is one with the outer tag, or is one by itself.
    pub vlan_layers: u8,
    /// Port of the switch at [`Self::egress`], if there is a tag that names one.
    pub dsa: Option<u8>,
    /// Session ID, if a PPPoE header is put on.
    pub pppoe: Option<u16>,
    /// Port at which they leave.
    pub egress: PsePort,
    /// Engine ticks at the last frame, see [`Format::timestamp`].
    pub timestamp: u16,
    /// Word 0 (information block 1).
    pub ib1: u32,
    /// Information block 2.
    pub ib2: u32,
}

impl Decoded {
    /// One line for people, in the form of the debugfs files of MediaTek's driver, whose
    /// readers know it: slot number, state, kind, addresses, and the given counts.
    pub fn line(self, slot: u16, packets: u64, bytes: u64) -> impl fmt::Display {
        Line {
            entry: self,
            slot,
            packets,
            bytes,
        }
    }
}

/// See [`Decoded::line`].
struct Line {
    entry: Decoded,
    slot: u16,
    packets: u64,
    bytes: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.entry;
        write!(f, "{:05x} {} {:>7}", self.slot, e.state, e.kind)?;
        if let Some(orig) = e.orig {
            write!(f, " orig={orig}")?;
        }
        if let Some(new) = e.new {
            write!(f, " new={new}")?;
        }
        let [outer, inner] = e.vlan;
        write!(
            f,
            // The EtherType is shown in network byte order, as there.
            " eth={}->{} etype={:04x} vlan={outer},{inner} ib1={:08x} ib2={:08x} packets={} bytes={}",
            Mac(e.smac),
            Mac(e.dmac),
            e.etype.swap_bytes(),
            e.ib1,
            e.ib2,
            self.packets,
            self.bytes
        )
    }
}

/// Some slots of a bucket, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The bucket's first slot.
    pub first: u16,
    /// Bit n stands for the slot n behind it.
    pub ways: u16,
}

impl Slots {
    /// None of the bucket.
    pub const fn none(self) -> Self {
        Self { ways: 0, ..self }
    }

    /// Adds a slot of the bucket.
    pub fn add(&mut self, slot: u16) {
        self.ways |= 1_u16.wrapping_shl(slot.wrapping_sub(self.first).into());
    }
}

impl Iterator for Slots {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        let way = self.ways.trailing_zeros();
        // Without the lowest one; none is left of zero.
        self.ways &= self.ways.wrapping_sub(1);
        u16::try_from(way)
            .ok()
            .filter(|way| u32::from(*way) < u16::BITS)
            .and_then(|way| self.first.checked_add(way))
    }
}

/// The format of a chip's table.
pub trait Format: Sync {
    /// Words per entry, at most [`MAX_WORDS`].
    fn entry_words(&self) -> usize;

    /// Slots per bucket: in how many the engine looks for a flow; at most 16.
    fn ways(&self) -> u16;

    /// Width of the timestamp of bound entries, in bits; its unit is one second.
    fn timestamp_bits(&self) -> u32;

    /// The first slot of the bucket in which a PPE looks for `flow`, in its table of
    /// `capacity` slots (a power of two).
    fn bucket(&self, flow: &Flow, capacity: u32) -> u16;

    /// Whether the PPE can be given an entry in this slot of its table.
    fn usable(&self, slot: u16) -> bool {
        let _ = slot;
        true
    }

    /// The slots of the bucket of `flow` which it can be given, in a PPE's table of
    /// `capacity` slots.
    fn slots(&self, flow: &Flow, capacity: u32) -> Slots;

    /// The words of a bound entry for `flow`, bound at engine time `timestamp`.
    fn encode(&self, flow: &Flow, timestamp: u16) -> Result<Entry, Reject> {
        let mut entry = Entry::new(MAX_WORDS);
        self.encode_in(flow, timestamp, 0, &mut entry)?;
        Ok(entry)
    }

    /// As [`Format::encode`], into an `entry` of [`MAX_WORDS`] words, all zero, which is cut down,
    /// with [`Format::slots`]: both are about the key.
    fn encode_in(
        &self,
        flow: &Flow,
        timestamp: u16,
        capacity: u32,
        entry: &mut Entry,
    ) -> Result<Slots, Reject>;

    /// What `words` say. Missing words count as zero.
    fn decode(&self, words: &[u32]) -> Decoded;

    /// The state in word 0. A word 0 of zero is [`State::Invalid`].
    fn state(&self, word0: u32) -> State;

    /// The bits of word 0, and their values, by which the engine forwards the flow of an entry:
    /// what [`Format::is_bound`] says, for those who ask for each flow.
    fn bound_bits(&self) -> (u32, u32);

    /// Whether the engine forwards the flow of an entry with this word 0.
    fn is_bound(&self, word0: u32) -> bool {
        self.state(word0) == State::Bound
    }

    /// Whether `words` are those of the bound entry `entry`, save for what the engine itself
    /// changes in it.
    fn is_as_written(&self, words: &[u32], entry: &Entry) -> bool;

    /// Engine ticks at the last frame of an entry with this word 0, `timestamp_bits` wide.
    fn timestamp(&self, word0: u32) -> u16;

    /// How many words of an entry, from word 0 on, [`Format::same_key`] has to be given.
    fn key_words(&self) -> usize;

    /// Whether the entry that `words` begins, in any state but invalid, is one that the
    /// engine would find for frames of `flow`.
    fn same_key(&self, words: &[u32], flow: &Flow) -> bool;
}
