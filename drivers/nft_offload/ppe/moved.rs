// SPDX-License-Identifier: GPL-2.0-only

//! Which flows go the wrong way after a neighbour, a station or a route has changed.
//!
//! nf_flowtable finds the way of a flow once and keeps it. What is wrong after a change has to
//! be ended, and comes back on its right way. To end a flow that was right costs it a moment
//! in software, to leave one that is wrong loses packets: so where it is not known, it ends.

use core::{
    hash::{
        Hash,
        Hasher, //
    },
    net::IpAddr,
    ops::DerefMut, //
};

use super::{
    flow::{
        Endpoint,
        Flow,
        Tuple, //
    },
    table::Fnv, //
};

/// Neighbours in a place for their hash: see [`Neighbours`].
const WAYS: usize = 4;

/// What has changed, as far as flows are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Frames to this Ethernet address are not for whom they were.
    NextHop([u8; 6]),
    /// The IP address is reached by this Ethernet address, if not by a gateway.
    Neighbour(IpAddr, [u8; 6]),
    /// The station is there now, or at a place that is no port of the engine.
    Station([u8; 6], Option<Endpoint>),
    /// Packets to the prefix, of so many bits, may go another way.
    Route(IpAddr, u8),
    /// Nothing is known.
    All,
}

impl Change {
    /// Whether `flow` may go the wrong way after that. Its opposite direction may as well.
    pub fn concerns(&self, flow: &Flow) -> bool {
        // Bridged frames go where a rule of tc says, whatever the kernel would do.
        if !flow.routed {
            return false;
        }
        match *self {
            Self::NextHop(mac) => flow.dmac == mac,
            // The other end of a PPPoE session is no neighbour.
            Self::Neighbour(addr, mac) => {
                flow.dmac != mac && flow.out_encap.pppoe.is_none() && destination(&flow.new) == addr
            }
            Self::Station(mac, at) => flow.dmac == mac && at != Some(flow.egress),
            Self::Route(prefix, len) => {
                covers(prefix, len, destination(&flow.new)) || is_own(prefix, len, flow)
            }
            Self::All => true,
        }
    }
}

fn destination(tuple: &Tuple) -> IpAddr {
    match *tuple {
        Tuple::V4 { dst, .. } => dst.into(),
        Tuple::V6 { dst, .. } => dst.into(),
    }
}

fn source(tuple: &Tuple) -> IpAddr {
    destination(&tuple.reversed())
}

/// Whether that is the route of one address which the flow has anywhere: the router's own, when
/// it comes or goes, is one that NAT puts in.
fn is_own(prefix: IpAddr, len: u8, flow: &Flow) -> bool {
    let one = if prefix.is_ipv4() { 32 } else { 128 };
    len == one
        && (source(&flow.new) == prefix
            || destination(&flow.tuple) == prefix
            || source(&flow.tuple) == prefix)
}

/// Whether the first `len` bits of `addr` are those of `prefix`.
fn covers(prefix: IpAddr, len: u8, addr: IpAddr) -> bool {
    let differ = match (prefix, addr) {
        (IpAddr::V4(prefix), IpAddr::V4(addr)) => {
            (prefix.to_bits() ^ addr.to_bits()).leading_zeros()
        }
        (IpAddr::V6(prefix), IpAddr::V6(addr)) => {
            (prefix.to_bits() ^ addr.to_bits()).leading_zeros()
        }
        _ => return false,
    };
    differ >= u32::from(len)
}

/// A neighbour, and its Ethernet address when it was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour<P> {
    /// Where it is: what the caller knows namespaces and devices by.
    place: P,
    addr: IpAddr,
    mac: [u8; 6],
}

/// What is new of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// It was not known.
    New,
    /// It had this Ethernet address before.
    Changed([u8; 6]),
}

/// The Ethernet addresses of neighbours, over storage of the caller's. The kernel tells of a
/// neighbour often, and does not say whether its address is another one than before.
///
/// A neighbour has four places, by its hash. If others have them all, the one that was not
/// told of for longest is forgotten; it is new when it is told of next.
pub struct Neighbours<S> {
    places: S,
}

impl<S, P> Neighbours<S>
where
    S: DerefMut<Target = [Option<Neighbour<P>>]>,
    P: Copy + Eq + Hash,
{
    /// None. The length of the storage is a multiple of four; what is over is not used.
    pub fn new(mut places: S) -> Self {
        places.fill(None);
        Self { places }
    }

    /// Remembers that `addr` at `place` is reached by `mac`.
    pub fn learn(&mut self, place: P, addr: IpAddr, mac: [u8; 6]) -> News {
        let mut hasher = Fnv::default();
        (place, addr).hash(&mut hasher);
        let buckets = self.places.len() / WAYS;
        let hash = usize::try_from(hasher.finish().wrapping_shr(32)).unwrap_or(0);
        let Some(bucket) = hash.checked_rem(buckets) else {
            return News::New;
        };
        let Some(ways) = self.places.chunks_exact_mut(WAYS).nth(bucket) else {
            return News::New;
        };
        let is = |known: &Option<Neighbour<P>>| {
            known.is_some_and(|known| known.place == place && known.addr == addr)
        };
        // The first is the latest.
        let found = ways.iter().position(is);
        let upto = found.unwrap_or(WAYS.saturating_sub(1));
        let before = found.and_then(|at| ways.get(at).copied().flatten());
        if let Some(ways) = ways.get_mut(..=upto) {
            ways.rotate_right(1);
            if let Some(first) = ways.first_mut() {
                *first = Some(Neighbour { place, addr, mac });
            }
        }
        match before {
            None => News::New,
            Some(before) if before.mac == mac => News::None,
            Some(before) => News::Changed(before.mac),
        }
    }
}
