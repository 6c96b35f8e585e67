// SPDX-License-Identifier: GPL-2.0-only

//! Offers that come although their flow has ended.

use core::ops::DerefMut;

use super::{
    super::table::BlockId,
    hash::{
        mix,
        places_of,
        put_first, //
    }, //
};

/// Flows that have ended and whose offer may still come, over storage of the caller's:
/// nf_flowtable does not withdraw what it has queued for its drivers.
///
/// The hash of a flow gives four places. If others have all of them, the oldest is forgotten.
pub struct CancelledOffers<S> {
    places: S,
    known: usize,
}

impl<S> CancelledOffers<S>
where
    S: DerefMut<Target = [Option<(BlockId, u64)>]>,
{
    /// None, over places that are `None`. It uses the largest multiple of four.
    pub fn new(places: S) -> Self {
        Self { places, known: 0 }
    }

    /// Remembers the flow that `owner` knows by `cookie`.
    pub fn add(&mut self, owner: BlockId, cookie: u64) {
        let flow = (owner, cookie);
        let Some(ways) = places_of(&mut self.places, hash_of(owner, cookie)) else {
            return;
        };
        if !ways.contains(&Some(flow)) && put_first(ways, flow, Option::is_none).is_none() {
            self.known = self.known.saturating_add(1);
        }
    }

    /// Whether that flow has ended. Forgets it: the flow is offered once, and another flow may
    /// get its cookie.
    pub fn take(&mut self, owner: BlockId, cookie: u64) -> bool {
        if self.known == 0 {
            return false;
        }
        let flow = Some((owner, cookie));
        let ways = places_of(&mut self.places, hash_of(owner, cookie)).into_iter();
        let Some(place) = ways.flatten().find(|place| **place == flow) else {
            return false;
        };
        *place = None;
        self.known = self.known.saturating_sub(1);
        true
    }
}

fn hash_of(BlockId(owner): BlockId, cookie: u64) -> u64 {
    mix(&[owner.into(), cookie])
}
