// SPDX-License-Identifier: GPL-2.0-only

//! Connection tracking: finding a connection, and adding to its counters.
//!
//! C header: [`include/net/netfilter/nf_conntrack_core.h`](srctree/include/net/netfilter/nf_conntrack_core.h)

use super::{
    bindings,
    netdev::Net, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// The addresses of one direction of a connection, in network byte order.
#[derive(Clone, Copy)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Source.
        src: [u8; 4],
        /// Destination.
        dst: [u8; 4],
    },
    /// IPv6.
    V6 {
        /// Source.
        src: [u8; 16],
        /// Destination.
        dst: [u8; 16],
    },
}

/// One direction of a connection.
#[derive(Clone, Copy)]
pub struct Tuple {
    /// Addresses.
    pub addrs: Addresses,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u8,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

impl Tuple {
    fn to_raw(self) -> bindings::nf_conntrack_tuple {
        // AF_INET and AF_INET6 are the same on all architectures.
        const AF_INET: u16 = 2;
        const AF_INET6: u16 = 10;

        // The unused bytes take part in the comparison, so all of them start as zero.
        let mut raw = bindings::nf_conntrack_tuple::default();
        match self.addrs {
            Addresses::V4 { src, dst } => {
                raw.src.l3num = AF_INET;
                raw.src.u3.ip = u32::from_ne_bytes(src);
                raw.dst.u3.ip = u32::from_ne_bytes(dst);
            }
            Addresses::V6 { src, dst } => {
                raw.src.l3num = AF_INET6;
                raw.src.u3.in6.in6_u.u6_addr8 = src;
                raw.dst.u3.in6.in6_u.u6_addr8 = dst;
            }
        }
        raw.src.u.all = self.sport.to_be();
        raw.dst.u.all = self.dport.to_be();
        raw.dst.protonum = self.protocol;
        raw
    }
}

/// Which direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// That of the first packet.
    Original,
    /// The other one.
    Reply,
}

/// A zone of connection tracking. Connections in different zones may have the same tuple.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Zone(u32);

impl Zone {
    /// The zone as a number, to be stored where this type is not known.
    pub fn to_u32(self) -> u32 {
        self.0
    }

    /// The zone of such a number. Of any other number, a zone in which nothing is.
    pub fn from_u32(number: u32) -> Self {
        Self(number)
    }
}

/// Tells directions of connections apart while they exist. Not a reference: it keeps nothing
/// alive.
///
/// A flow of a flowtable holds its connection, so between REPLACE and DESTROY no other connection
/// can have the same id as the flow's.
///
/// # Invariants
///
/// The connection's address, which is even, and a one for the direction of the reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DirectionId(u64);

impl DirectionId {
    /// The id as a number other than 0, to be stored where this type is not known.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// Which direction the id with this number is of.
    pub fn direction_of(id: u64) -> Direction {
        if id & 1 == 0 {
            Direction::Original
        } else {
            Direction::Reply
        }
    }
}

/// One direction of a tracked connection, which lives for `'a`.
///
/// # Invariants
///
/// `ct` points to a connection that lives for `'a`; `direction` is 0 (`IP_CT_DIR_ORIGINAL`) or 1.
#[derive(Clone, Copy)]
pub struct DirectionRef<'a> {
    ct: NonNull<bindings::nf_conn>,
    direction: u8,
    lives: PhantomData<&'a bindings::nf_conn>,
}

impl DirectionRef<'_> {
    /// # Safety
    ///
    /// `ct` must point to a connection that lives for `'a`.
    pub(super) unsafe fn from_raw<'a>(
        ct: NonNull<bindings::nf_conn>,
        direction: u8,
    ) -> DirectionRef<'a> {
        // INVARIANT: By the requirement of this function.
        DirectionRef {
            ct,
            direction: direction & 1,
            lives: PhantomData,
        }
    }

    /// The id of this direction.
    pub fn id(self) -> DirectionId {
        // INVARIANT: By the type invariant.
        DirectionId(self.ct.as_ptr() as u64 | u64::from(self.direction))
    }

    /// The zone of the connection.
    #[inline]
    pub fn zone(self) -> Zone {
        // SAFETY: By the type invariant.
        Zone(unsafe { bindings::nft_offload_helper_ct_zone(self.ct.as_ptr()) })
    }

    /// Adds to the counters of this direction, and does nothing where the connection has none.
    #[inline]
    pub fn account(self, mut packets: u64, mut bytes: u64) {
        // The C function takes 32 bits of each.
        while packets != 0 || bytes != 0 {
            let p = u32::try_from(packets).unwrap_or(u32::MAX);
            let b = u32::try_from(bytes).unwrap_or(u32::MAX);
            // SAFETY: By the type invariant.
            unsafe { bindings::nf_ct_acct_add(self.ct.as_ptr(), self.direction.into(), p, b) };
            packets = packets.saturating_sub(p.into());
            bytes = bytes.saturating_sub(b.into());
        }
    }

    /// Says that packets passed in this direction, one or `several`, which only hardware saw, and
    /// when the last of them did, as a value of the 64-bit jiffies counter.
    ///
    /// The connection then has seen a reply, and is assured, as if software had seen them.
    #[inline]
    pub fn seen(self, several: bool, last: u64) {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::nft_offload_helper_ct_seen(self.ct.as_ptr(), self.direction, several, last)
        };
    }
}

/// A reference to one direction of a tracked connection.
///
/// # Invariants
///
/// `ct` points to a connection of which this value owns one reference.
pub struct Connection {
    ct: NonNull<bindings::nf_conn>,
    direction: u8,
}

impl Connection {
    /// Finds the connection that `tuple` is a direction of, in a zone of `net`.
    pub fn find(net: &Net, zone: Zone, tuple: Tuple) -> Option<Self> {
        let raw = tuple.to_raw();
        let mut direction = 0u8;
        // SAFETY: `net` lives for the call, and the tuple and the direction are ours.
        let ct = unsafe {
            bindings::nft_offload_helper_ct_find(net.as_raw(), zone.0, &raw, &mut direction)
        };
        // INVARIANT: The reference taken by the call is handed over.
        Some(Self {
            ct: NonNull::new(ct)?,
            direction,
        })
    }

    /// The direction that was found.
    pub fn direction(&self) -> DirectionRef<'_> {
        // SAFETY: By the type invariant.
        unsafe { DirectionRef::from_raw(self.ct, self.direction) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::nft_offload_helper_ct_put(self.ct.as_ptr()) };
    }
}
