// SPDX-License-Identifier: GPL-2.0-only

//! Entries of MediaTek's NETSYS.

use super::super::{
    flow::{
        Flow,
        PsePort,
        L4, //
    },
    reject::Reject, //
};
use super::{
    Decoded,
    Entry,
    Format,
    Kind,
    State, //
};

/// A NETSYS table format.
pub struct Netsys;

/// NETSYS v2: MT7981, MT7986.
pub static NETSYS_V2: Netsys = Netsys;

impl Format for Netsys {
    fn entry_words(&self) -> usize {
        24
    }
    fn ways(&self) -> u16 {
        4
    }
    fn timestamp_bits(&self) -> u32 {
        8
    }
    fn bucket(&self, _flow: &Flow, _capacity: u32) -> u16 {
        0
    }
    fn encode(&self, _flow: &Flow, _timestamp: u16) -> Result<Entry, Reject> {
        Ok(Entry::new(self.entry_words()))
    }
    fn decode(&self, _words: &[u32]) -> Decoded {
        Decoded {
            state: State::Invalid,
            kind: Kind::Unknown(0),
            l4: L4::Tcp,
            orig: None,
            new: None,
            smac: [0; 6],
            dmac: [0; 6],
            etype: 0,
            vlan: [0; 2],
            vlan_layers: 0,
            pppoe: None,
            egress: PsePort(0),
            timestamp: 0,
            ib1: 0,
            ib2: 0,
        }
    }
    fn state(&self, _word0: u32) -> State {
        State::Invalid
    }
    fn timestamp(&self, _word0: u32) -> u16 {
        0
    }
}
