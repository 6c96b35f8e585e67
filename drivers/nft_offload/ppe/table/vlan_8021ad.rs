// SPDX-License-Identifier: GPL-2.0-only

//! Flows that are refused since the reverse direction has an 802.1ad tag.

use super::{
    super::{
        flow::{
            Flow,
            Key, //
        },
        hash::Fnv,
        hw::Hw, //
    },
    BlockId,
    Host,
    Table,
    Unbound,
    REFUSED, //
};
use core::hash::{
    Hash,
    Hasher, //
};

impl<P: Host> Table<P> {
    /// Refuses the flow with `key` of this owner from now on, as the reverse direction of
    /// one that was refused for its 802.1ad tag, and takes it out of the engine if it is
    /// there. Its record stays until [`Table::destroy`].
    ///
    /// That ends when a rule without such a tag comes for the reverse direction, or when
    /// more keys are refused than are remembered. In the last case the flow is bound when
    /// it is offered next, and taken out again when the reverse direction is.
    pub fn refuse(&mut self, owner: BlockId, key: &Key) {
        let name = refused_name(owner, key);
        if let Some(refused) = self.refused.get_mut(refused_place(name)) {
            if *refused == 0 {
                self.refusals = self.refusals.saturating_add(1);
            }
            *refused = name;
        }
        // It is not known where its frames arrive.
        for part in 0..self.spec.caps.ppes() {
            let Some(slot) = self.slot_in(owner, key, part) else {
                continue;
            };
            let word0 = self.hw.read_word0(slot);
            if let Ok(word0) = self.hw_result(word0) {
                let _ = self.unbind_entry(slot, word0, Unbound::Refused);
            }
        }
    }

    pub(super) fn is_refused(&self, owner: BlockId, flow: &Flow) -> bool {
        if self.refusals == 0 {
            return false;
        }
        let name = refused_name(owner, &flow.key());
        self.refused.get(refused_place(name)) == Some(&name)
    }

    /// Ends what [`Table::refuse`] began for the reverse direction of `flow`.
    pub(super) fn admit_again(&mut self, owner: BlockId, flow: &Flow) {
        if self.refusals == 0 {
            return;
        }
        let name = refused_name(owner, &flow.reverse());
        if let Some(refused) = self.refused.get_mut(refused_place(name)) {
            if *refused == name {
                *refused = 0;
                self.refusals = self.refusals.saturating_sub(1);
            }
        }
    }
}

/// The name under which a key is remembered to be refused; not 0.
fn refused_name(owner: BlockId, key: &Key) -> u64 {
    let mut hasher = Fnv::default();
    owner.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.finish().max(1)
}

/// Where it is remembered.
fn refused_place(name: u64) -> usize {
    usize::try_from(name.wrapping_shr(32)).unwrap_or(0) & REFUSED.wrapping_sub(1)
}
