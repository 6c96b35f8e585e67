// SPDX-License-Identifier: GPL-2.0-only

//! What a chip can do, and which flows it therefore takes.

use super::{
    count::Count,
    flow::{
        DsaPort,
        DsaTag,
        Encap,
        Flow,
        PsePort,
        Tuple, //
    },
    reject::Reject, //
};

/// What the byte counter of an entry's MIB counts.
///
/// Frames are counted as they arrive, before the engine changes their headers.
/// Padding of short frames is not counted: no chip's documents say that it is, and an
/// engine that took its length from the wire would have to be told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MibUnit {
    /// From the IP header on: what conntrack counts.
    Layer3,
    /// From the Ethernet header on.
    Layer2 {
        /// With the frame check sequence of 4 bytes.
        fcs: bool,
    },
}

impl MibUnit {
    /// Bytes that the MIB counts in front of the IP header and behind the payload, for
    /// each frame that arrives with `encap`.
    pub const fn overhead(self, encap: &Encap) -> u8 {
        match self {
            Self::Layer3 => 0,
            Self::Layer2 { fcs } => {
                let fcs = if fcs { 4 } else { 0 };
                encap.len().saturating_add(14).saturating_add(fcs)
            }
        }
    }

    /// A reading of the MIB in conntrack's unit: the same packets, and their bytes from
    /// the IP header on. A reading with fewer bytes than its packets' headers have (no
    /// engine should give one) counts as no bytes.
    #[inline]
    pub const fn layer3(self, raw: Count, encap: &Encap) -> Count {
        if matches!(self, Self::Layer3) {
            return raw;
        }
        let headers = raw.packets.saturating_mul(self.overhead(encap) as u64);
        Count {
            packets: raw.packets,
            bytes: raw.bytes.saturating_sub(headers),
        }
    }
}

/// The switches to which a chip can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DsaCaps {
    /// Protocol of the tags that the chip takes off and puts on.
    pub tag: DsaTag,
    /// Number of ports that they can name, from 0 on.
    pub ports: u8,
}

/// What a chip can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Forwards IPv4.
    pub ipv4: bool,
    /// Forwards IPv6.
    pub ipv6: bool,
    /// Changes IPv4 addresses and ports.
    pub nat44: bool,
    /// Changes IPv6 addresses and ports.
    pub nat66: bool,
    /// Forwards frames without decrementing TTL or hop limit, as a bridge does.
    pub bridge: bool,
    /// Sends frames out of the port they came in at.
    pub hairpin: bool,
    /// 802.1Q tags that it takes off or puts on.
    pub vlan_tags: u8,
    /// Puts on a PPPoE header.
    pub pppoe: bool,
    /// Headers in all (tags and PPPoE) that it puts on.
    pub headers: u8,
    /// Takes off and puts on the tags of a switch behind a port; `None` if it cannot.
    pub dsa: Option<DsaCaps>,
    /// What the entries' counters count; `None` if there are none.
    pub mib: Option<MibUnit>,
    /// The ports that have a PPE of their own, with a part of the table: the first of these ports
    /// the second PPE, the next one the third and so on. The first PPE is that of all other
    /// ports.
    pub extra_ppe_ports: &'static [PsePort],
}

impl Caps {
    /// A chip that can do nothing: what a new chip starts from.
    pub const NONE: Self = Self {
        ipv4: false,
        ipv6: false,
        nat44: false,
        nat66: false,
        bridge: false,
        hairpin: false,
        vlan_tags: 0,
        pppoe: false,
        headers: 0,
        dsa: None,
        mib: None,
        extra_ppe_ports: &[],
    };

    /// Number of PPEs, each with a part of the table.
    pub const fn ppes(&self) -> usize {
        self.extra_ppe_ports.len().saturating_add(1)
    }

    /// The PPE, from 0 on, in which frames that arrive at `port` are looked up.
    pub fn ppe_of(&self, port: PsePort) -> usize {
        let apart = self.extra_ppe_ports.iter().position(|own| *own == port);
        apart.map_or(0, |at| at.saturating_add(1))
    }
}

/// Whether a chip with `caps` can name a port of a switch to the switch.
fn admit_dsa(dsa: DsaPort, caps: &Caps) -> Result<(), Reject> {
    let can = caps.dsa.ok_or(Reject::Dsa)?;
    if dsa.tag != can.tag {
        return Err(Reject::DsaTag);
    }
    if dsa.number >= can.ports {
        return Err(Reject::Dsa);
    }
    Ok(())
}

/// Whether a chip with `caps` can forward `flow`.
pub fn admit(flow: &Flow, caps: &Caps) -> Result<(), Reject> {
    let (family, nat, no_nat) = match (&flow.tuple, &flow.new) {
        (Tuple::V4 { .. }, Tuple::V4 { .. }) => (caps.ipv4, caps.nat44, Reject::Nat44),
        (Tuple::V6 { .. }, Tuple::V6 { .. }) => (caps.ipv6, caps.nat66, Reject::Nat66),
        _ => return Err(Reject::MixedFamily),
    };
    if !family {
        return Err(Reject::Family);
    }
    if !nat && flow.is_nat() {
        return Err(no_nat);
    }
    if !flow.routed && !caps.bridge {
        return Err(Reject::Layer2);
    }
    if !caps.hairpin && flow.ingress.port == flow.egress.port {
        return Err(Reject::Hairpin);
    }
    let tags = flow.in_encap.tags().max(flow.out_encap.tags());
    if tags > 0 && caps.vlan_tags == 0 {
        return Err(Reject::Vlan);
    }
    if !caps.pppoe && (flow.in_encap.pppoe.is_some() || flow.out_encap.pppoe.is_some()) {
        return Err(Reject::Pppoe);
    }
    if let Some(dsa) = flow.ingress.dsa {
        admit_dsa(dsa, caps)?;
    }
    if let Some(dsa) = flow.egress.dsa {
        admit_dsa(dsa, caps)?;
    }
    if tags > caps.vlan_tags || flow.out_encap.headers() > caps.headers {
        return Err(Reject::VlanDepth);
    }
    Ok(())
}
