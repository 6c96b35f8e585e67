// SPDX-License-Identifier: GPL-2.0-only

//! Which flows pass a device that shapes what it sends. In hardware they would pass it by.

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

/// The way of frames at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They leave by it.
    Out,
    /// They arrive at it.
    In,
}

/// A place where traffic is shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shaper {
    /// By which port: all of it, or the port of a switch behind it.
    pub at: Endpoint,
    /// What the frames have at least: these tags, the outermost ones first; and exactly these,
    /// if there is a session.
    pub encap: Encap,
    /// Which way they go.
    pub direction: Direction,
}

impl Shaper {
    /// Placeholder for storage that holds no shaper.
    const NONE: Self = Self {
        at: Endpoint {
            port: PsePort(0),
            dsa: None,
        },
        encap: Encap::NONE,
        direction: Direction::Out,
    };

    /// Whether `flow` passes here. A rule does not say in which session frames arrive, so all
    /// are taken for that one.
    pub fn passes(&self, flow: &Flow) -> bool {
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

/// How many shapers of less than a port are told apart.
pub const SHAPERS: usize = 16;

/// Where traffic is shaped at the ports of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Shapers {
    /// By number: ports of which all that leaves is shaped.
    out: u32,
    /// Likewise all that arrives.
    arriving: u32,
    /// Those of less than a port.
    parts: [Shaper; SHAPERS],
    len: usize,
}

impl Shapers {
    /// None.
    pub const NONE: Self = Self {
        out: 0,
        arriving: 0,
        parts: [Shaper::NONE; SHAPERS],
        len: 0,
    };

    /// Whether nothing is shaped.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.out | self.arriving == 0 && self.len == 0
    }

    /// Adds one. If there is no room, its whole port counts as shaped.
    pub fn add(&mut self, shaper: Shaper) {
        let whole = shaper.at.dsa.is_none() && shaper.encap.is_empty();
        if !whole {
            if self.parts().contains(&shaper) {
                return;
            }
            if let Some(free) = self.parts.get_mut(self.len) {
                *free = shaper;
                self.len = self.len.saturating_add(1);
                return;
            }
        }
        *self.ports(shaper.direction) |= bit(shaper.at.port);
    }

    /// Adds all of `others`.
    pub fn add_all(&mut self, others: &Self) {
        self.out |= others.out;
        self.arriving |= others.arriving;
        for part in others.parts() {
            self.add(*part);
        }
    }

    /// Whether all of these are among `others`.
    pub fn are_among(&self, others: &Self) -> bool {
        self.out & !others.out == 0
            && self.arriving & !others.arriving == 0
            && self
                .parts()
                .iter()
                .all(|part| others.parts().contains(part))
    }

    /// Whether `flow` passes one of them.
    pub fn pass(&self, flow: &Flow) -> bool {
        self.out & bit(flow.egress.port) != 0
            || self.arriving & bit(flow.ingress.port) != 0
            || self.parts().iter().any(|part| part.passes(flow))
    }

    fn parts(&self) -> &[Shaper] {
        self.parts.get(..self.len).unwrap_or(&[])
    }

    fn ports(&mut self, direction: Direction) -> &mut u32 {
        match direction {
            Direction::Out => &mut self.out,
            Direction::In => &mut self.arriving,
        }
    }
}

/// Chips number their ports with 4 or 5 bits. Numbers beyond would share a bit, and a flow be
/// refused for nothing.
const fn bit(port: PsePort) -> u32 {
    1_u32.rotate_left(port.0 as u32)
}

/// Devices that the log was told about are remembered, so many. A device that the last scan did not
/// find makes room for another; while there is no room, the log is told of no more.
const WARNED: usize = 16;

/// A device, by interface index and namespace, and which way of its traffic is shaped.
pub type Place = (i32, NetId, Direction);

/// What is known of shaping.
pub struct Shaping {
    shapers: Shapers,
    /// What the log was told about, each once, and the last scan that found it.
    warned: [Option<(Place, u32)>; WARNED],
    /// Number of the scan, which wraps.
    scan: u32,
}

impl Shaping {
    /// Nothing is shaped.
    pub const NONE: Self = Self {
        shapers: Shapers::NONE,
        warned: [None; WARNED],
        scan: 0,
    };

    /// Whether `flow` may be offloaded.
    #[inline]
    pub fn admit(&self, flow: &Flow) -> Result<(), Reject> {
        if self.shapers.is_empty() || !self.shapers.pass(flow) {
            return Ok(());
        }
        Err(Reject::ShapedEgress)
    }

    /// Begins a scan: forgets what is shaped, which is returned.
    pub fn begin_scan(&mut self) -> Shapers {
        self.scan = self.scan.wrapping_add(1);
        core::mem::replace(&mut self.shapers, Shapers::NONE)
    }

    /// Adds what was found.
    pub fn add(&mut self, found: &Shapers) {
        self.shapers.add_all(found);
    }

    /// Whether the log has to be told about `place`, which this scan has found: once.
    pub fn warn_once(&mut self, place: Place) -> bool {
        let scan = self.scan;
        let mut known = self.warned.iter_mut().flatten();
        if let Some((_, found_by)) = known.find(|(warned, _)| *warned == place) {
            *found_by = scan;
            return false;
        }
        // One that only the scan before has found may still come.
        let is_free = |warned: &Option<(Place, u32)>| {
            warned.is_none_or(|(_, found_by)| scan.wrapping_sub(found_by) > 1)
        };
        let Some(free) = self.warned.iter_mut().find(|warned| is_free(warned)) else {
            return false;
        };
        *free = Some((place, scan));
        true
    }
}
