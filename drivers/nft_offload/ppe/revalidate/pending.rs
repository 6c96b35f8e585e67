// SPDX-License-Identifier: GPL-2.0-only

//! Events that wait for the next walk over the flows.

use core::net::{
    Ipv4Addr,
    Ipv6Addr, //
};

use super::{
    super::{
        netdev::NetId,
        platform::Storage, //
    },
    hash::{
        halves,
        mix, //
    },
    neigh::{
        NeighTable,
        NeighUpdate,
        Neighbour, //
    },
    FlowPath,
    FwdEvent, //
};

/// Words of a set of keys. With two bits for a key, 2,000 keys give one false match in 270.
const WORDS: usize = 1 << 10;

/// Neighbours that are known, at most: the kernel keeps at most 1,024 of each family
/// (`gc_thresh3`) unless it is told otherwise.
const NEIGHBOURS: usize = 2048;

/// The length of the prefix of one address.
const HOST: u8 = 128;

/// The length of the prefix of all addresses that are mapped from IPv4.
const MAPPED: u8 = 96;

/// What flows are found by, with the namespace they are in.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Key {
    /// Frames are sent to this Ethernet address.
    Mac,
    /// Packets are sent to this neighbour, not by a gateway.
    Neighbour,
    /// An address of theirs, cut to so many bits.
    Prefix,
    /// They leave by a device.
    Device,
    /// They come or leave by a device. They end without asking, as do those of the next two.
    AllFlows,
    /// They leave by a device, in a VLAN.
    Vlan,
    /// They leave by a device, without a tag.
    Untagged,
}

impl Key {
    /// A bit of its own.
    fn bit(self) -> u8 {
        1_u8.wrapping_shl(u32::from(self as u8))
    }
}

fn mac_number([a, b, c, d, e, f]: [u8; 6]) -> u128 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f]).into()
}

fn device_number(ifindex: i32) -> u128 {
    u32::from_ne_bytes(ifindex.to_ne_bytes()).into()
}

/// The first `len` bits of an address.
fn prefix(addr: Ipv6Addr, len: u8) -> u128 {
    let over = u32::from(HOST.saturating_sub(len));
    addr.to_bits() & u128::MAX.checked_shl(over).unwrap_or(0)
}

/// The two bits that a hash has in a set: index of the word, and bit in the word.
fn bits(hash: u64) -> [(usize, u64); 2] {
    [hash, hash.wrapping_shr(32)].map(|half| {
        let word = usize::try_from(half.wrapping_shr(6) & 0xffff).unwrap_or(0) % WORDS;
        (word, 1_u64.wrapping_shl((half & 63) as u32))
    })
}

/// Whether a path is right after changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No change is about it.
    Keep,
    /// The kernel has to be asked.
    Ask,
    /// It is wrong.
    End,
}

/// Changes since the last walk over the flows. As large for one change as for any number.
///
/// Of their keys only bits of the hashes are kept: it may seem to have a key that nobody put in,
/// and never lacks one that somebody did.
pub struct ChangeSet<S: Storage> {
    words: S::Vec<u64>,
    /// Kinds of keys there are, see [`Key::bit`]: a walk does not compute others.
    kinds: u8,
    /// Lengths of prefixes there are, a bit for each but [`HOST`].
    lens: u128,
    /// Whether there is a prefix of length [`HOST`].
    hosts: bool,
    /// The kernel may make some of the changes only after it has notified of them.
    announced: bool,
    /// Events that made this.
    events: u64,
}

impl<S: Storage> ChangeSet<S> {
    /// None. `None` if there is no memory.
    pub fn new() -> Option<Self> {
        Some(Self {
            words: S::filled(0, WORDS)?,
            kinds: 0,
            lens: 0,
            hosts: false,
            announced: false,
            events: 0,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds == 0
    }

    /// Whether the kernel may make some of these after it has notified of them.
    pub fn is_announced(&self) -> bool {
        self.announced
    }

    /// The number of events that made these.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Puts a key in. `more` is the length of a prefix or a VLAN, or 0.
    #[inline(never)]
    fn put(&mut self, net: NetId, key: Key, what: u128, more: u16) {
        for (at, bit) in bits(hash_of(net, key, what, more)) {
            if let Some(word) = self.words.get_mut(at) {
                *word |= bit;
            }
        }
        self.kinds |= key.bit();
    }

    /// Whether a key is in.
    #[inline(never)]
    fn has(&self, net: NetId, key: Key, what: u128, more: u16) -> bool {
        let is_set = |(at, bit)| self.words.get(at).is_some_and(|word| word & bit != 0);
        self.kinds & key.bit() != 0 && bits(hash_of(net, key, what, more)).into_iter().all(is_set)
    }

    fn put_prefix(&mut self, net: NetId, addr: Ipv6Addr, len: u8) {
        match 1_u128.checked_shl(len.into()) {
            Some(bit) => self.lens |= bit,
            None => self.hosts = true,
        }
        self.put(net, Key::Prefix, prefix(addr, len), len.into());
    }

    fn add(&mut self, net: NetId, event: &FwdEvent, update: NeighUpdate) {
        match *event {
            FwdEvent::Neighbour { addr, .. } => {
                if let NeighUpdate::Changed(before) = update {
                    self.put(net, Key::Mac, mac_number(before), 0);
                }
                self.put(net, Key::Neighbour, addr.to_bits(), 0);
                return;
            }
            FwdEvent::FdbEntry { mac } => return self.put(net, Key::Mac, mac_number(mac), 0),
            FwdEvent::Route { addr, len } => self.put_prefix(net, addr, len),
            FwdEvent::NextHopObject => {
                self.put_prefix(net, Ipv6Addr::UNSPECIFIED, 0);
                self.put_prefix(net, Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), MAPPED);
            }
            FwdEvent::Device { ifindex } => {
                self.put(net, Key::Device, device_number(ifindex), 0);
            }
            FwdEvent::AllFlows { ifindex } => {
                self.put(net, Key::AllFlows, device_number(ifindex), 0);
            }
            FwdEvent::Vlan { ifindex, vid } => {
                self.put(net, Key::Vlan, device_number(ifindex), vid);
                // The bridge may have removed the tag.
                self.put(net, Key::Untagged, device_number(ifindex), 0);
            }
        }
        // Neighbours and FDB entries are in place first.
        self.announced = true;
    }

    /// Adds all of `others`.
    pub fn add_all(&mut self, others: &Self) {
        for (word, more) in self.words.iter_mut().zip(others.words.iter()) {
            *word |= *more;
        }
        self.kinds |= others.kinds;
        self.lens |= others.lens;
        self.hosts |= others.hosts;
        self.announced |= others.announced;
        self.events = self.events.saturating_add(others.events);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.kinds = 0;
        self.lens = 0;
        self.hosts = false;
        self.announced = false;
        self.events = 0;
    }

    /// Whether the path of a direction in namespace `net` is right. `ingress` is the device by
    /// which its packets come, if that is known.
    #[inline(never)]
    pub fn verdict(&self, net: NetId, path: &FlowPath, ingress: Option<i32>) -> Verdict {
        let device = device_number(path.ifindex);
        let (tag, vid) = path.vlan.map_or((Key::Untagged, 0), |vid| (Key::Vlan, vid));
        let ingress = ingress.map_or(device, device_number);
        if self.has(net, Key::AllFlows, device, 0)
            || self.has(net, Key::AllFlows, ingress, 0)
            || self.has(net, tag, device, vid)
        {
            Verdict::End
        } else if self.has(net, Key::Mac, mac_number(path.dmac), 0)
            || self.has(net, Key::Neighbour, path.new_dst.to_bits(), 0)
            || self.has(net, Key::Device, device, 0)
            || self.has_prefix(net, path)
        {
            Verdict::Ask
        } else {
            Verdict::Keep
        }
    }

    /// Whether a prefix covers the destination, or is an address that NAT puts in: a host route
    /// comes and goes with an address of the router's own.
    fn has_prefix(&self, net: NetId, path: &FlowPath) -> bool {
        let has = |addr, len: u8| self.has(net, Key::Prefix, prefix(addr, len), len.into());
        // Shorter ones are of IPv6.
        let mapped = path.new_dst.to_ipv4_mapped().is_some();
        for len in if mapped { MAPPED } else { 0 }..HOST {
            if self.lens.wrapping_shr(len.into()) & 1 != 0 && has(path.new_dst, len) {
                return true;
            }
        }
        let mut addrs = [path.new_dst, path.new_src, path.dst].into_iter();
        self.hosts && addrs.any(|addr| has(addr, HOST))
    }
}

#[inline(never)]
fn hash_of(NetId(net): NetId, key: Key, what: u128, more: u16) -> u64 {
    let kind = u64::from(key as u8) | u64::from(more).wrapping_shl(8);
    let [hi, lo] = halves(what);
    mix(&[net as u64, kind, hi, lo])
}

/// Device that has a neighbour, by namespace and interface index.
type NeighbourAt = (NetId, i32);

/// Who hears events, with what it has heard since the last walk.
pub struct Pending<S: Storage> {
    neighbours: NeighTable<S::Vec<Option<Neighbour<NeighbourAt>>>>,
    changes: ChangeSet<S>,
}

impl<S: Storage> Pending<S> {
    /// Has heard nothing. `None` if there is no memory.
    pub fn new() -> Option<Self> {
        Some(Self {
            neighbours: NeighTable::new(S::filled(None, NEIGHBOURS)?),
            changes: ChangeSet::new()?,
        })
    }

    /// Hears of an event in a namespace. Returns whether flows may be concerned.
    pub fn hear(&mut self, net: NetId, event: &FwdEvent) -> bool {
        self.changes.events = self.changes.events.saturating_add(1);
        let update = match *event {
            FwdEvent::Neighbour { ifindex, addr, mac } => {
                let device = u64::from(u32::from_ne_bytes(ifindex.to_ne_bytes()));
                let hash = mix(&[net.0 as u64, device]);
                self.neighbours.learn((net, ifindex), hash, addr, mac)
            }
            _ => NeighUpdate::New,
        };
        if update == NeighUpdate::Unchanged {
            return false;
        }
        self.changes.add(net, event, update);
        true
    }

    /// Gives what was heard for `changes`, which are empty.
    pub fn swap(&mut self, changes: &mut ChangeSet<S>) {
        core::mem::swap(&mut self.changes, changes);
    }
}
