// SPDX-License-Identifier: GPL-2.0-only

//! Which flows go the wrong path after a neighbour, a station or a route has changed, and which
//! of them may be offered all the same.
//!
//! nf_flowtable finds the path of a flow once and keeps it. What is wrong after a change has to
//! be ended, and comes back on its right path. To end a flow that was right costs it a moment
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
    hash::Fnv,
    list::List,
    netdev::NetId,
    platform::Storage,
    table::{
        BlockId,
        Record, //
    }, //
};

/// Places for a hash: see [`NeighTable`] and [`CancelledOffers`].
const WAYS: usize = 4;

/// What has changed, as far as flows are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This Ethernet address is no longer that of the next hop.
    LladdrGone([u8; 6]),
    /// The IP address is reached by this Ethernet address, if not by a gateway.
    Neighbour(IpAddr, [u8; 6]),
    /// The station is there now, or at a place that is no port of the engine.
    FdbEntry([u8; 6], Option<Endpoint>),
    /// Packets to the prefix, of so many bits, may go another path.
    Route(IpAddr, u8),
    /// Nothing is known.
    All,
}

/// The path of one direction of a connection that is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPath {
    /// Source address of packets that arrive.
    pub src: IpAddr,
    /// Destination address of packets that arrive.
    pub dst: IpAddr,
    /// The source address they leave with.
    pub new_src: IpAddr,
    /// The destination address they leave with.
    pub new_dst: IpAddr,
    /// Ethernet address they are sent to.
    pub dmac: [u8; 6],
    /// Whether they leave in a session of PPPoE.
    pub pppoe: bool,
    /// Where they leave, if that is a port of the engine.
    pub egress: Option<Endpoint>,
}

impl FlowPath {
    /// That of `flow`, unless it is bridged.
    pub fn of(flow: &Flow) -> Option<Self> {
        let ((src, dst), (new_src, new_dst)) = (addrs(&flow.tuple), addrs(&flow.new));
        flow.routed.then_some(Self {
            src,
            dst,
            new_src,
            new_dst,
            dmac: flow.dmac,
            pppoe: flow.out_encap.pppoe.is_some(),
            egress: Some(flow.egress),
        })
    }
}

impl Change {
    /// Whether `flow` may go the wrong path after that. Its reverse direction may as well.
    ///
    /// Bridged frames go where a rule of tc says, whatever the kernel would do.
    pub fn concerns(&self, flow: &Flow) -> bool {
        FlowPath::of(flow).is_some_and(|path| self.invalidates(&path))
    }

    /// Whether `path` may be a wrong one after that.
    pub fn invalidates(&self, path: &FlowPath) -> bool {
        match *self {
            Self::LladdrGone(mac) => path.dmac == mac,
            // The other end of a PPPoE session is no neighbour.
            Self::Neighbour(addr, mac) => path.dmac != mac && !path.pppoe && path.new_dst == addr,
            Self::FdbEntry(mac, at) => path.dmac == mac && at != path.egress,
            Self::Route(prefix, len) => {
                covers(prefix, len, path.new_dst) || is_own(prefix, len, path)
            }
            Self::All => true,
        }
    }
}

/// Source and destination.
fn addrs(tuple: &Tuple) -> (IpAddr, IpAddr) {
    match *tuple {
        Tuple::V4 { src, dst, .. } => (src.into(), dst.into()),
        Tuple::V6 { src, dst, .. } => (src.into(), dst.into()),
    }
}

/// Whether that is the route of one address which `path` has anywhere: the router's own, when
/// it comes or goes, is one that NAT puts in.
fn is_own(prefix: IpAddr, len: u8, path: &FlowPath) -> bool {
    let one = if prefix.is_ipv4() { 32 } else { 128 };
    len == one && [path.new_src, path.dst, path.src].contains(&prefix)
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

/// The places of `key`, the latest first, if there are any.
fn places_of<T>(places: &mut [T], key: impl Hash) -> Option<&mut [T]> {
    let mut hasher = Fnv::default();
    key.hash(&mut hasher);
    let buckets = places.len() / WAYS;
    let hash = usize::try_from(hasher.finish().wrapping_shr(32)).unwrap_or(0);
    let bucket = hash.checked_rem(buckets)?;
    places.chunks_exact_mut(WAYS).nth(bucket)
}

/// Puts `what` first, in the place that `is` finds, or else instead of the last. Returns what was
/// in that place.
fn put_first<T: Copy>(
    ways: &mut [Option<T>],
    what: T,
    is: impl Fn(&Option<T>) -> bool,
) -> Option<T> {
    let found = ways.iter().position(is);
    let upto = found.unwrap_or(ways.len().saturating_sub(1));
    let ways = ways.get_mut(..=upto)?;
    ways.rotate_right(1);
    ways.first_mut()?.replace(what)
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
pub enum NeighUpdate {
    /// Nothing.
    Unchanged,
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
pub struct NeighTable<S> {
    places: S,
}

impl<S, P> NeighTable<S>
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
    pub fn learn(&mut self, place: P, addr: IpAddr, mac: [u8; 6]) -> NeighUpdate {
        let Some(ways) = places_of(&mut self.places, (place, addr)) else {
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

/// Flows that have ended and may be offered yet, over storage of the caller's: nf_flowtable does
/// not take back what it has queued for its drivers.
///
/// A flow has four places, by its hash. If others have them all, the one that was remembered
/// first is forgotten.
pub struct CancelledOffers<S> {
    places: S,
    known: usize,
}

impl<S> CancelledOffers<S>
where
    S: DerefMut<Target = [Option<(BlockId, u64)>]>,
{
    /// None. The length of the storage is a multiple of four; what is over is not used.
    pub fn new(mut places: S) -> Self {
        places.fill(None);
        Self { places, known: 0 }
    }

    /// Remembers the flow that `owner` knows by `cookie`.
    pub fn add(&mut self, owner: BlockId, cookie: u64) {
        let flow = (owner, cookie);
        let Some(ways) = places_of(&mut self.places, flow) else {
            return;
        };
        if !ways.contains(&Some(flow)) && put_first(ways, flow, Option::is_none).is_none() {
            self.known = self.known.saturating_add(1);
        }
    }

    /// Whether that one has ended. It is forgotten: a flow that has ended is offered once, and
    /// another one may get its name.
    pub fn take(&mut self, owner: BlockId, cookie: u64) -> bool {
        if self.known == 0 {
            return false;
        }
        let flow = Some((owner, cookie));
        let ways = places_of(&mut self.places, (owner, cookie)).into_iter();
        let Some(place) = ways.flatten().find(|place| **place == flow) else {
            return false;
        };
        *place = None;
        self.known = self.known.saturating_sub(1);
        true
    }
}

/// Events that wait to be looked at, at most.
const PENDING: usize = 512;

/// Changes that wait to be followed, at most: two for each event.
const CHANGES: usize = 2 * PENDING;

/// What the kernel tells of the ways of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FwdEvent {
    /// The address is reached by the Ethernet address `mac` at the device `ifindex`.
    Neighbour {
        /// The interface; the real one below, if it is a VLAN device.
        ifindex: i32,
        /// The IP address.
        addr: IpAddr,
        /// The Ethernet address.
        mac: [u8; 6],
    },
    /// A bridge saw frames from `mac` come by its port `ifindex`.
    FdbEntry {
        /// The interface; the real one below, if it is a VLAN device.
        ifindex: i32,
        /// The Ethernet address.
        mac: [u8; 6],
    },
    /// Packets to the prefix may go another way. All packets of the family do if `len` is 0.
    Route {
        /// First address of the prefix.
        addr: IpAddr,
        /// Length in bits.
        len: u8,
    },
    /// A nexthop object is about to lead elsewhere, with routes of which nothing is known.
    NextHopObject,
}

/// Events that were told and not looked at yet.
pub struct Pending<S: Storage> {
    events: List<S::Vec<(NetId, FwdEvent)>>,
    /// There was no room for more.
    lost: bool,
}

impl<S: Storage> Pending<S> {
    /// None. `None` if there is no memory.
    pub fn new() -> Option<Self> {
        let none = (NetId(0), FwdEvent::NextHopObject);
        Some(Self {
            events: List::new(S::filled(none, PENDING)?),
            lost: false,
        })
    }

    /// Adds one that was told in a namespace.
    pub fn push(&mut self, net: NetId, event: FwdEvent) {
        self.lost |= self.events.push((net, event)).is_err();
    }

    /// The events, in order.
    pub fn events(&self) -> &[(NetId, FwdEvent)] {
        self.events.as_slice()
    }

    /// Whether there were more.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// They were looked at.
    pub fn clear(&mut self) {
        self.events.clear();
        self.lost = false;
    }
}

/// Changes, each in a namespace, of which flows are to end.
pub struct ChangeSet<S: Storage> {
    changes: List<S::Vec<(NetId, Change)>>,
    /// There were more, of which nothing is known: all flows are to end.
    any: bool,
}

impl<S: Storage> ChangeSet<S> {
    /// None. `None` if there is no memory.
    pub fn new() -> Option<Self> {
        let none = (NetId(0), Change::All);
        Some(Self {
            changes: List::new(S::filled(none, CHANGES)?),
            any: false,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        !self.any && self.changes.as_slice().is_empty()
    }

    /// Adds one.
    pub fn add(&mut self, net: NetId, change: Change) {
        if !self.any && self.changes.push((net, change)).is_err() {
            self.add_any();
        }
    }

    /// Nothing is known of what has changed.
    pub fn add_any(&mut self) {
        self.changes.clear();
        self.any = true;
    }

    /// Adds all of `others`.
    pub fn add_all(&mut self, others: &Self) {
        if others.any {
            self.add_any();
        }
        for (net, change) in others.changes.as_slice() {
            self.add(*net, *change);
        }
    }

    /// They were followed.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.any = false;
    }

    /// Whether a flow of the table in namespace `net` may go the wrong way after one of them.
    pub fn concerns(&self, net: NetId, record: &Record) -> bool {
        FlowPath::of(&record.flow).is_some_and(|path| self.invalidates(net, &path))
    }

    /// Whether a path in namespace `net` may be a wrong one after one of them.
    pub fn invalidates(&self, net: NetId, path: &FlowPath) -> bool {
        let mut changes = self.changes.as_slice().iter();
        self.any || changes.any(|(at, change)| *at == net && change.invalidates(path))
    }
}
