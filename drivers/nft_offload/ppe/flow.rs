// SPDX-License-Identifier: GPL-2.0-only

//! What a flow is: one direction of one connection, as frames arrive and as they
//! leave.

use core::{
    fmt,
    net::{
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr, //
    }, //
};

/// A port of the packet switch engine (PSE): where the engine takes frames in and
/// where it sends them. The number is the chip's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PsePort(pub u8);

impl fmt::Display for PsePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The protocol of the tags between a port of the engine and an Ethernet switch behind it
/// (DSA): the number that the kernel knows it by, `DSA_TAG_PROTO_*_VALUE` in
/// `include/net/dsa.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DsaTag(pub u8);

impl DsaTag {
    /// That of MediaTek's switches.
    pub const MTK: Self = Self(9);
}

/// A port of an Ethernet switch, as the tags name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DsaPort {
    /// Protocol of the tags.
    pub tag: DsaTag,
    /// The switch's number of the port.
    pub number: u8,
}

/// Where frames of a flow arrive or leave.
///
/// Displayed as `1`, or as `1.3` for port 3 of a switch behind port 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Port of the engine.
    pub port: PsePort,
    /// Port of the switch behind it, if there is one that is told so by a tag.
    pub dsa: Option<DsaPort>,
}

impl From<PsePort> for Endpoint {
    fn from(port: PsePort) -> Self {
        Self { port, dsa: None }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        match self.dsa {
            Some(dsa) => write!(f, ".{}", dsa.number),
            None => Ok(()),
        }
    }
}

/// The transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum L4 {
    /// TCP, IP protocol number 6.
    Tcp,
    /// UDP, IP protocol number 17.
    Udp,
}

impl L4 {
    /// The transport protocol with IP protocol number `proto`.
    pub const fn from_ip_proto(proto: u8) -> Option<Self> {
        match proto {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    /// The transport protocol as it is displayed, `tcp` or `udp`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            _ => None,
        }
    }

    /// The IP protocol number.
    pub const fn ip_proto(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for L4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Addresses and ports of a frame. Addresses are in network byte order, as on the
/// wire; ports are numbers.
///
/// Displayed as `192.0.2.1:1234->198.51.100.1:80`, with IPv6 addresses in brackets.
// Addresses stand at multiples of 4: a kernel may want each access aligned, as that of
// arm64 does, and then they would be read in pieces. Ports come first, so that they are at the
// same place in both families.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tuple {
    /// IPv4.
    V4 {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// Source address.
        src: [u8; 4],
        /// Destination address.
        dst: [u8; 4],
    },
    /// IPv6.
    V6 {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// Source address.
        src: [u8; 16],
        /// Destination address.
        dst: [u8; 16],
    },
}

impl Tuple {
    /// The IPv4 tuple of all zeros.
    pub const ZERO: Self = Self::V4 {
        src: [0; 4],
        dst: [0; 4],
        sport: 0,
        dport: 0,
    };

    /// The tuple of a source and a destination as they are displayed: `192.0.2.1:1234`, or
    /// `[2001:db8::1]:1234`. `None` if either is something else, or their families differ.
    pub fn parse(src: &str, dst: &str) -> Option<Self> {
        match (src.parse().ok()?, dst.parse().ok()?) {
            (SocketAddr::V4(src), SocketAddr::V4(dst)) => Some(Self::V4 {
                src: src.ip().octets(),
                dst: dst.ip().octets(),
                sport: src.port(),
                dport: dst.port(),
            }),
            (SocketAddr::V6(src), SocketAddr::V6(dst)) => Some(Self::V6 {
                src: src.ip().octets(),
                dst: dst.ip().octets(),
                sport: src.port(),
                dport: dst.port(),
            }),
            _ => None,
        }
    }

    /// Source and destination port.
    pub const fn ports(&self) -> (u16, u16) {
        match *self {
            Self::V4 { sport, dport, .. } | Self::V6 { sport, dport, .. } => (sport, dport),
        }
    }

    /// Sets source and destination port.
    pub fn set_ports(&mut self, new_sport: u16, new_dport: u16) {
        let (Self::V4 { sport, dport, .. } | Self::V6 { sport, dport, .. }) = self;
        (*sport, *dport) = (new_sport, new_dport);
    }

    /// The tuple of frames in the reverse direction.
    pub const fn reversed(&self) -> Self {
        match *self {
            Self::V4 {
                src,
                dst,
                sport,
                dport,
            } => Self::V4 {
                src: dst,
                dst: src,
                sport: dport,
                dport: sport,
            },
            Self::V6 {
                src,
                dst,
                sport,
                dport,
            } => Self::V6 {
                src: dst,
                dst: src,
                sport: dport,
                dport: sport,
            },
        }
    }

    /// Whether this is an IPv6 tuple.
    pub const fn is_v6(&self) -> bool {
        matches!(self, Self::V6 { .. })
    }

    /// Whether the destination is a group (IPv4 multicast or limited broadcast, IPv6
    /// multicast) and not one host.
    pub const fn is_multicast(&self) -> bool {
        match *self {
            Self::V4 { dst, .. } => {
                let [a, ..] = dst;
                a & 0xf0 == 0xe0 || matches!(dst, [255, 255, 255, 255])
            }
            Self::V6 { dst, .. } => {
                let [a, ..] = dst;
                a == 0xff
            }
        }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4 {
                src,
                dst,
                sport,
                dport,
            } => write!(
                f,
                "{}:{sport}->{}:{dport}",
                Ipv4Addr::from(src),
                Ipv4Addr::from(dst)
            ),
            Self::V6 {
                src,
                dst,
                sport,
                dport,
            } => write!(
                f,
                "[{}]:{sport}->[{}]:{dport}",
                Ipv6Addr::from(src),
                Ipv6Addr::from(dst)
            ),
        }
    }
}

/// An Ethernet address for display, as `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The headers between the Ethernet header and IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encap {
    /// VLAN IDs (12 bits) of the 802.1Q tags, outermost first. The second is set only
    /// if the first is.
    pub vlan: [Option<u16>; 2],
    /// Session ID of the PPPoE header, which follows the tags.
    pub pppoe: Option<u16>,
}

impl Encap {
    /// No header.
    pub const NONE: Self = Self {
        vlan: [None; 2],
        pppoe: None,
    };

    /// Number of 802.1Q tags.
    pub const fn tags(&self) -> u8 {
        match self.vlan {
            [None, _] => 0,
            [Some(_), None] => 1,
            [Some(_), Some(_)] => 2,
        }
    }

    /// Number of headers: the tags and PPPoE.
    pub const fn headers(&self) -> u8 {
        self.tags().saturating_add(self.pppoe.is_some() as u8)
    }

    /// Length of the headers in bytes: 4 a tag, 8 for PPPoE with PPP's protocol field.
    pub const fn len(&self) -> u8 {
        let pppoe = if self.pppoe.is_some() { 8 } else { 0 };
        self.tags().saturating_mul(4).saturating_add(pppoe)
    }

    /// Whether there is no header.
    pub const fn is_empty(&self) -> bool {
        self.headers() == 0
    }

    /// Adds a tag inside of those present. `false` if there is no room.
    pub fn push_vlan(&mut self, vid: u16) -> bool {
        let [outer, inner] = &mut self.vlan;
        let free = if outer.is_none() { outer } else { inner };
        if free.is_some() {
            return false;
        }
        *free = Some(vid);
        true
    }
}

/// By what an engine finds the entry of a frame. Port, tags and session are no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Transport protocol.
    pub l4: L4,
    /// Addresses and ports as the frame arrives.
    pub tuple: Tuple,
}

/// One direction of a connection: which frames, and what becomes of them. The engine
/// also updates the checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where the frames arrive.
    pub ingress: Endpoint,
    /// Where they leave.
    pub egress: Endpoint,
    /// Transport protocol.
    pub l4: L4,
    /// Addresses and ports as the frame arrives.
    pub tuple: Tuple,
    /// Addresses and ports as it leaves: of the same family, and equal without NAT.
    pub new: Tuple,
    /// Source Ethernet address as it leaves.
    pub smac: [u8; 6],
    /// Destination Ethernet address as it leaves.
    pub dmac: [u8; 6],
    /// Headers that the frame carries as it arrives.
    pub in_encap: Encap,
    /// Headers that it carries as it leaves.
    pub out_encap: Encap,
    /// Whether the frames are routed, and the engine decrements TTL or hop limit. Those that
    /// are bridged leave with the Ethernet addresses and the TTL they came with.
    pub routed: bool,
}

impl Flow {
    /// Placeholder for storage that holds no flow.
    pub const NONE: Self = Self {
        ingress: Endpoint {
            port: PsePort(0),
            dsa: None,
        },
        egress: Endpoint {
            port: PsePort(0),
            dsa: None,
        },
        l4: L4::Tcp,
        tuple: Tuple::ZERO,
        new: Tuple::ZERO,
        smac: [0; 6],
        dmac: [0; 6],
        in_encap: Encap::NONE,
        out_encap: Encap::NONE,
        routed: true,
    };

    /// Whether addresses or ports are changed.
    pub fn is_nat(&self) -> bool {
        self.tuple != self.new
    }

    /// By what the engine finds its entry.
    pub const fn key(&self) -> Key {
        Key {
            l4: self.l4,
            tuple: self.tuple,
        }
    }

    /// The key of the reverse direction of the connection.
    pub const fn reverse(&self) -> Key {
        Key {
            l4: self.l4,
            tuple: self.new.reversed(),
        }
    }

    /// Whether its frames arrive or leave at `port`, or at a switch behind it.
    pub fn uses(&self, port: PsePort) -> bool {
        self.ingress.port == port || self.egress.port == port
    }

    /// Whether the engine cannot tell the two flows apart.
    #[inline]
    pub fn same_key(&self, other: &Self) -> bool {
        // Nearly all pairs of flows differ in their ports, and the rest is not looked at.
        self.tuple.ports() == other.tuple.ports() && self.same_key_but_ports(other)
    }

    /// The part of [`Flow::same_key`] that is needed when ports are equal.
    #[inline(never)]
    fn same_key_but_ports(&self, other: &Self) -> bool {
        self.l4 == other.l4 && self.tuple == other.tuple
    }

    /// Becomes `other`. Field by field, since all at once is a call of `memcpy()`.
    pub fn assign(&mut self, other: &Self) {
        self.ingress = other.ingress;
        self.egress = other.egress;
        self.l4 = other.l4;
        self.tuple = other.tuple;
        self.new = other.new;
        self.smac = other.smac;
        self.dmac = other.dmac;
        self.in_encap = other.in_encap;
        self.out_encap = other.out_encap;
        self.routed = other.routed;
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} port {}->{}",
            self.l4, self.tuple, self.ingress, self.egress
        )?;
        if self.is_nat() {
            write!(f, " new {}", self.new)?;
        }
        write!(f, " eth {}->{}", Mac(self.smac), Mac(self.dmac))
    }
}
