// SPDX-License-Identifier: GPL-2.0-only

//! What stands in the way of a path: what the kernel would do with the packets of a device, and
//! hardware would not.

use super::{
    flow::{
        Encap,
        Endpoint,
        Flow,
        PsePort, //
    },
    netdev::NetId,
    reject::Reject, //
};

/// Whether qdiscs of this kind hold packets back on purpose, so that they have an effect only on
/// what the CPU sends. Those that only order or drop packets of a queue that is full anyway
/// (`fq_codel`, `prio` and the like) have a purpose at the CPU alone, and none for hardware.
pub fn shapes(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"cake" | b"cake_mq" | b"cbs" | b"etf" | b"hfsc" | b"htb" | b"netem" | b"taprio" | b"tbf"
    )
}

/// A kind of obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A qdisc that shapes.
    Shaper,
    /// Filters of tc, or programs in their place.
    TcFilter,
    /// A chain of nf_tables at ingress or egress of the device.
    NetdevChain,
    /// An XDP program.
    Xdp,
    /// A VLAN device that sets the priority of tags.
    EgressQosMap,
    /// A port of several VLANs, of which the engine does not tell in which one a frame arrives.
    MultiVlan,
}

impl Kind {
    /// All of them. A flow that has several is refused for the first.
    pub const ALL: &'static [Self] = &[
        Self::Shaper,
        Self::TcFilter,
        Self::NetdevChain,
        Self::Xdp,
        Self::EgressQosMap,
        Self::MultiVlan,
    ];

    /// For what a flow is refused that has it in its way.
    pub const fn reject(self) -> Reject {
        match self {
            Self::Shaper => Reject::ShapedEgress,
            Self::TcFilter => Reject::TcFilter,
            Self::NetdevChain => Reject::NetdevChain,
            Self::Xdp => Reject::Xdp,
            Self::EgressQosMap => Reject::EgressQosMap,
            Self::MultiVlan => Reject::MultiVlan,
        }
    }

    const fn bit(self) -> u8 {
        1_u8.wrapping_shl(self as u32)
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// These and `kind`.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// These without `kind`.
    #[must_use]
    pub const fn without(self, kind: Kind) -> Self {
        Self(self.0 & !kind.bit())
    }

    /// Whether `kind` is one of these.
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    const fn are_among(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// The first one, in the order of [`Kind::ALL`].
    fn first(self) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| self.has(*kind))
    }
}

/// The direction of frames at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They leave by it.
    Out,
    /// They arrive at it.
    In,
}

/// The path of a device's frames over a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// By which port: all of it, or the port of a switch behind it.
    pub at: Endpoint,
    /// What the frames have at least: these tags, the outermost ones first; and exactly these,
    /// if there is a session.
    pub encap: Encap,
    /// Which direction they go.
    pub direction: Direction,
}

impl Path {
    /// Placeholder for storage that holds no path.
    const NONE: Self = Self {
        at: Endpoint {
            port: PsePort(0),
            dsa: None,
        },
        encap: Encap::NONE,
        direction: Direction::Out,
    };

    /// Whether this is all that passes a port in one direction.
    const fn is_whole_port(&self) -> bool {
        self.at.dsa.is_none() && self.encap.is_empty()
    }

    /// Whether `flow` takes this path. A rule does not say in which session frames arrive, so all
    /// are taken for this one.
    pub fn is_of(&self, flow: &Flow) -> bool {
        let (at, encap) = match self.direction {
            Direction::Out => (&flow.egress, &flow.out_encap),
            Direction::In => (&flow.ingress, &flow.in_encap),
        };
        if at.port != self.at.port || (self.at.dsa.is_some() && at.dsa != self.at.dsa) {
            return false;
        }
        match self.encap.pppoe {
            None => Iterator::zip(self.encap.vlan.iter(), encap.vlan.iter())
                .all(|(own, vlan)| own.is_none() || own == vlan),
            Some(_) if encap.vlan != self.encap.vlan => false,
            Some(_) if self.direction == Direction::In && encap.pppoe.is_none() => true,
            session => session == encap.pppoe,
        }
    }
}

/// `encap` with a tag around it; `None` if that makes more than there are in a flow.
pub fn tagged(encap: &Encap, vid: u16) -> Option<Encap> {
    match encap.vlan {
        [outer, None] => Some(Encap {
            vlan: [Some(vid), outer],
            pppoe: encap.pppoe,
        }),
        _ => None,
    }
}

/// How many paths of less than a port are told apart.
pub const PATHS: usize = 16;

/// Chips number their ports with 4 or 5 bits. Numbers beyond would share a place, and a flow be
/// refused for nothing.
const PORTS: usize = 32;

/// The obstacles at the ports of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Obstacles {
    /// All kinds there are.
    kinds: Kinds,
    /// What all frames meet that leave by a port, by its number.
    out: [Kinds; PORTS],
    /// Likewise all that arrive there.
    arriving: [Kinds; PORTS],
    /// What frames on paths of less than a port meet.
    parts: [(Path, Kinds); PATHS],
    len: usize,
}

impl Obstacles {
    /// None.
    pub const NONE: Self = Self {
        kinds: Kinds::NONE,
        out: [Kinds::NONE; PORTS],
        arriving: [Kinds::NONE; PORTS],
        parts: [(Path::NONE, Kinds::NONE); PATHS],
        len: 0,
    };

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Adds one on a path. If there is no room, it counts for the whole port.
    pub fn add(&mut self, path: &Path, kind: Kind) {
        self.add_kinds(path, Kinds::NONE.with(kind));
    }

    #[inline(never)]
    fn add_kinds(&mut self, path: &Path, kinds: Kinds) {
        self.kinds = self.kinds.union(kinds);
        let known = self.parts().iter().position(|(known, _)| known == path);
        let len = self.len;
        let part = match known {
            _ if path.is_whole_port() => None,
            Some(at) => self.parts.get_mut(at),
            None => self.parts.get_mut(len),
        };
        if let Some((place, of_place)) = part {
            *place = *path;
            *of_place = of_place.union(kinds);
            self.len = len.saturating_add(known.is_none().into());
            return;
        }
        let ports = match path.direction {
            Direction::Out => &mut self.out,
            Direction::In => &mut self.arriving,
        };
        if let Some(port) = ports.get_mut(number(path.at.port)) {
            *port = port.union(kinds);
        }
    }

    /// Adds all of `others`.
    pub fn add_all(&mut self, others: &Self) {
        self.kinds = self.kinds.union(others.kinds);
        let ports = self.out.iter_mut().chain(&mut self.arriving);
        for (kinds, others) in ports.zip(others.ports()) {
            *kinds = kinds.union(*others);
        }
        for (path, kinds) in others.parts() {
            self.add_kinds(path, *kinds);
        }
    }

    /// Whether all of these are among `others`.
    #[inline(never)]
    pub fn are_among(&self, others: &Self) -> bool {
        let mut ports = self.ports().zip(others.ports());
        ports.all(|(kinds, others)| kinds.are_among(*others))
            && self.parts().iter().all(|(path, kinds)| {
                let mut others = others.parts().iter();
                others.any(|(other, known)| other == path && kinds.are_among(*known))
            })
    }

    /// What stands in the way of `flow`.
    #[inline(never)]
    pub fn of(&self, flow: &Flow) -> Kinds {
        let of =
            |ports: &[Kinds; PORTS], port| ports.get(number(port)).copied().unwrap_or_default();
        let ports = of(&self.out, flow.egress.port).union(of(&self.arriving, flow.ingress.port));
        let parts = self.parts().iter().filter(|(path, _)| path.is_of(flow));
        parts.fold(ports, |all, (_, kinds)| all.union(*kinds))
    }

    /// Whether nothing stands in the way of `flow`, which is refused otherwise.
    #[inline]
    pub fn admit(&self, flow: &Flow) -> Result<(), Reject> {
        if self.is_empty() {
            return Ok(());
        }
        self.of(flow)
            .first()
            .map_or(Ok(()), |kind| Err(kind.reject()))
    }

    fn parts(&self) -> &[(Path, Kinds)] {
        self.parts.get(..self.len).unwrap_or(&[])
    }

    fn ports(&self) -> impl Iterator<Item = &Kinds> {
        self.out.iter().chain(&self.arriving)
    }
}

const fn number(port: PsePort) -> usize {
    port.0 as usize % PORTS
}

/// In which VLANs the router has addresses at the ports of an engine.
pub struct PortVlans {
    /// By number of the port: the VLAN that was seen first, or none.
    first: [Option<Option<u16>>; PORTS],
}

impl PortVlans {
    /// None was seen.
    pub const NONE: Self = Self {
        first: [None; PORTS],
    };

    /// The router has an address in this VLAN, or in none, at a port. Returns whether it has one in
    /// another VLAN there.
    pub fn add(&mut self, port: PsePort, vlan: Option<u16>) -> bool {
        let first = self.first.get_mut(number(port));
        first.is_some_and(|first| *first.get_or_insert(vlan) != vlan)
    }
}

/// Devices that the log was told about are remembered, so many. A device that the last scan did not
/// find makes room for another; while there is no room, the log is told of no more.
const WARNED: usize = 16;

/// An obstacle at a device, by interface index and namespace.
pub type Place = (i32, NetId, Direction, Kind);

/// What the log was told about, each once, and the last scan that found it.
pub struct Warned {
    places: [Option<(Place, u32)>; WARNED],
    /// Number of the scan, which wraps.
    scan: u32,
}

impl Warned {
    /// Nothing.
    pub const NONE: Self = Self {
        places: [None; WARNED],
        scan: 0,
    };

    /// A scan begins.
    pub fn begin_scan(&mut self) {
        self.scan = self.scan.wrapping_add(1);
    }

    /// Whether the log has to be told about `place`, which this scan has found: once.
    pub fn warn_once(&mut self, place: Place) -> bool {
        let scan = self.scan;
        let mut known = self.places.iter_mut().flatten();
        if let Some((_, found_by)) = known.find(|(warned, _)| *warned == place) {
            *found_by = scan;
            return false;
        }
        // One that only the scan before has found may still come.
        let is_free = |warned: &Option<(Place, u32)>| {
            warned.is_none_or(|(_, found_by)| scan.wrapping_sub(found_by) > 1)
        };
        let Some(free) = self.places.iter_mut().find(|warned| is_free(warned)) else {
            return false;
        };
        *free = Some((place, scan));
        true
    }
}
