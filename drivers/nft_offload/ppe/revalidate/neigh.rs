// SPDX-License-Identifier: GPL-2.0-only

//! What is known of neighbours.

use core::{
    net::Ipv6Addr,
    ops::DerefMut, //
};

use super::hash::{
    halves,
    mix,
    places_of,
    put_first, //
};

/// A neighbour, and the Ethernet address it had at the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour<P> {
    /// The caller's name of namespace and device.
    place: P,
    addr: Ipv6Addr,
    mac: [u8; 6],
}

/// What is new of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighUpdate {
    /// Nothing.
    Unchanged,
    /// The table did not have it.
    New,
    /// It had this Ethernet address before.
    Changed([u8; 6]),
}

/// The Ethernet addresses of neighbours, over storage of the caller's. The kernel notifies of a
/// neighbour often, and does not say whether its address is another one than before.
///
/// The hash of a neighbour gives four places. If others have all of them, the table forgets the
/// one whose last event is the oldest; that one is new at its next event.
pub struct NeighTable<S> {
    places: S,
}

impl<S, P> NeighTable<S>
where
    S: DerefMut<Target = [Option<Neighbour<P>>]>,
    P: Copy + Eq,
{
    /// An empty table, over places that are `None`. It uses the largest multiple of four.
    pub fn new(places: S) -> Self {
        Self { places }
    }

    /// Remembers that `addr` at `place`, which has the hash `hash`, has the Ethernet address `mac`.
    pub fn learn(&mut self, place: P, hash: u64, addr: Ipv6Addr, mac: [u8; 6]) -> NeighUpdate {
        let [hi, lo] = halves(addr.to_bits());
        let Some(ways) = places_of(&mut self.places, mix(&[hash, hi, lo])) else {
            return NeighUpdate::New;
        };
        let is = |known: &Neighbour<P>| known.place == place && known.addr == addr;
        let now = Neighbour { place, addr, mac };
        let before = put_first(ways, now, |known| known.as_ref().is_some_and(is));
        match before.filter(is) {
            None => NeighUpdate::New,
            Some(before) if before.mac == mac => NeighUpdate::Unchanged,
            Some(before) => NeighUpdate::Changed(before.mac),
        }
    }
}
