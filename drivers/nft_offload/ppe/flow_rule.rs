// SPDX-License-Identifier: GPL-2.0-only

//! From the kernel's flow rules to a [`Flow`].
//!
//! The caller hands over the keys a rule matches and then its actions one by one, as the
//! kernel's `struct flow_rule` holds them; [`RuleParser::finish`] says whether they add up
//! to a flow. Keys may come in any order, actions in the rule's.

use super::{
    bits::{
        lower,
        upper, //
    },
    flow::{
        Encap,
        Endpoint,
        Flow,
        Key,
        Tuple,
        L4, //
    },
    reject::Reject, //
};

/// EtherType of IPv4.
pub(super) const ETH_P_IP: u16 = 0x0800;
/// EtherType of IPv6.
pub(super) const ETH_P_IPV6: u16 = 0x86dd;
/// EtherType of an 802.1Q tag.
pub const ETH_P_8021Q: u16 = 0x8100;

/// Bits of a VLAN ID.
pub const VLAN_VID_MASK: u16 = 0x0fff;

/// TCP flags FIN, SYN and RST, in the layout of [`Match::Tcp`]. Segments that carry one
/// go to the CPU whatever the entry says, so a rule that wants none of them is met.
pub(super) const TCP_FIN_SYN_RST: u16 = 0x0007;

/// Kind of addresses that a rule matches: `addr_type` of `FLOW_DISSECTOR_KEY_CONTROL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddrType {
    /// None (0): a bridged flow.
    None,
    /// `FLOW_DISSECTOR_KEY_IPV4_ADDRS`.
    V4,
    /// `FLOW_DISSECTOR_KEY_IPV6_ADDRS`.
    V6,
    /// Anything else.
    Other,
}

/// What a rule says about an 802.1Q tag: `struct flow_dissector_key_vlan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanKey {
    /// VLAN ID, 12 bits.
    pub id: u16,
    /// Mask of `id`.
    pub id_mask: u16,
    /// EtherType of the tag, in host byte order.
    pub tpid: u16,
    /// Mask of `tpid`.
    pub tpid_mask: u16,
    /// Mask of the priority, 3 bits.
    pub prio_mask: u8,
}

/// A key that a rule matches. Values and masks are those of `struct flow_rule`; 16-bit
/// values are given in host byte order, addresses in network byte order. Bits set in a
/// mask have to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// `FLOW_DISSECTOR_KEY_META`.
    Meta {
        /// What `ingress_ifindex` stands for, `None` if it is no port of this engine nor
        /// of a switch behind one.
        ingress: Option<Endpoint>,
        /// Mask of `ingress_ifindex`.
        mask: u32,
    },
    /// `FLOW_DISSECTOR_KEY_CONTROL`.
    Control {
        /// Kind of addresses.
        addr_type: AddrType,
        /// Mask of `flags`: which of them the rule asks for (fragments and others).
        flags_mask: u32,
    },
    /// `FLOW_DISSECTOR_KEY_BASIC`.
    Basic {
        /// EtherType.
        n_proto: u16,
        /// Mask of `n_proto`.
        n_proto_mask: u16,
        /// IP protocol number.
        ip_proto: u8,
        /// Mask of `ip_proto`.
        ip_proto_mask: u8,
    },
    /// `FLOW_DISSECTOR_KEY_IPV4_ADDRS`.
    Ipv4Addrs {
        /// Source address.
        src: [u8; 4],
        /// Destination address.
        dst: [u8; 4],
        /// Mask of `src`.
        src_mask: [u8; 4],
        /// Mask of `dst`.
        dst_mask: [u8; 4],
    },
    /// `FLOW_DISSECTOR_KEY_IPV6_ADDRS`.
    Ipv6Addrs {
        /// Source address.
        src: [u8; 16],
        /// Destination address.
        dst: [u8; 16],
        /// Mask of `src`.
        src_mask: [u8; 16],
        /// Mask of `dst`.
        dst_mask: [u8; 16],
    },
    /// `FLOW_DISSECTOR_KEY_PORTS`.
    Ports {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// Mask of `sport`.
        sport_mask: u16,
        /// Mask of `dport`.
        dport_mask: u16,
    },
    /// `FLOW_DISSECTOR_KEY_TCP`: the flags of bytes 12 and 13 of the TCP header, FIN being
    /// bit 0.
    Tcp {
        /// Flags.
        flags: u16,
        /// Mask of `flags`.
        mask: u16,
    },
    /// `FLOW_DISSECTOR_KEY_VLAN`: the outer tag.
    Vlan(VlanKey),
    /// `FLOW_DISSECTOR_KEY_CVLAN`: the inner tag.
    Cvlan(VlanKey),
    /// `FLOW_DISSECTOR_KEY_IP`.
    Ip {
        /// TOS or traffic class.
        tos: u8,
        /// Mask of `tos`.
        tos_mask: u8,
        /// TTL or hop limit.
        ttl: u8,
        /// Mask of `ttl`.
        ttl_mask: u8,
    },
    /// `FLOW_DISSECTOR_KEY_ETH_ADDRS`.
    EthAddrs {
        /// Source address.
        src: [u8; 6],
        /// Destination address.
        dst: [u8; 6],
        /// Mask of `src`.
        src_mask: [u8; 6],
        /// Mask of `dst`.
        dst_mask: [u8; 6],
    },
    /// Any of `FLOW_DISSECTOR_KEY_ENC_*`: an outer header.
    Tunnel,
    /// Any other key.
    Other {
        /// Its number in `enum flow_dissector_key_id`.
        key: u32,
    },
}

/// The header that a mangle changes: `enum flow_action_mangle_base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MangleHeader {
    /// `FLOW_ACT_MANGLE_UNSPEC` and anything else.
    Unspec,
    /// `FLOW_ACT_MANGLE_HDR_TYPE_ETH`.
    Eth,
    /// `FLOW_ACT_MANGLE_HDR_TYPE_IP4`.
    Ip4,
    /// `FLOW_ACT_MANGLE_HDR_TYPE_IP6`.
    Ip6,
    /// `FLOW_ACT_MANGLE_HDR_TYPE_TCP`.
    Tcp,
    /// `FLOW_ACT_MANGLE_HDR_TYPE_UDP`.
    Udp,
}

/// An action of a rule, with the values of `struct flow_action_entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `FLOW_ACTION_MANGLE`: 32 bits of a header are changed. `mask` and `val` are the
    /// `u32` as the kernel holds them; their bytes in memory are the header's, but for
    /// [`MangleHeader::Eth`] (see [`RuleParser`]).
    Mangle {
        /// The header.
        header: MangleHeader,
        /// Offset in the header, in bytes.
        offset: u32,
        /// Bits that are kept.
        mask: u32,
        /// The new value of the others.
        val: u32,
    },
    /// `FLOW_ACTION_VLAN_PUSH`: a tag is put on, inside of those put on before.
    VlanPush {
        /// VLAN ID, 12 bits.
        vid: u16,
        /// EtherType of the tag, in host byte order.
        proto: u16,
        /// Priority, 3 bits.
        prio: u8,
    },
    /// `FLOW_ACTION_VLAN_POP`: the outer tag is taken off.
    VlanPop,
    /// `FLOW_ACTION_PPPOE_PUSH`: a PPPoE header is put on.
    PppoePush {
        /// Session ID.
        sid: u16,
    },
    /// `FLOW_ACTION_CSUM`: checksums are updated, as the engine does in any case.
    Csum {
        /// `TCA_CSUM_UPDATE_FLAG_*`.
        flags: u32,
    },
    /// `FLOW_ACTION_REDIRECT`.
    Redirect {
        /// What the device stands for, `None` if it is no port of this engine nor of a
        /// switch behind one.
        egress: Option<Endpoint>,
    },
    /// `FLOW_ACTION_ACCEPT`. Its number is 0, and the kernel's flowtable leaves it at
    /// that where it should have asked for an 802.1ad tag.
    Accept,
    /// `FLOW_ACTION_TUNNEL_ENCAP` or `FLOW_ACTION_TUNNEL_DECAP`.
    Tunnel,
    /// Any other action.
    Other {
        /// Its number in `enum flow_action_id`.
        id: u32,
    },
}

/// What a rule has said.
mod seen {
    /// [`super::Match::Meta`].
    pub const INGRESS: u16 = 1 << 0;
    /// [`super::Match::Control`]: IPv4.
    pub const CONTROL_V4: u16 = 1 << 1;
    /// [`super::Match::Control`]: IPv6.
    pub const CONTROL_V6: u16 = 1 << 2;
    /// [`super::Match::Basic`]: IPv4.
    pub const BASIC_V4: u16 = 1 << 3;
    /// [`super::Match::Basic`]: IPv6.
    pub const BASIC_V6: u16 = 1 << 4;
    /// [`super::Match::Ipv4Addrs`].
    pub const ADDRS_V4: u16 = 1 << 5;
    /// [`super::Match::Ipv6Addrs`].
    pub const ADDRS_V6: u16 = 1 << 6;
    /// [`super::Match::Ports`].
    pub const PORTS: u16 = 1 << 7;
    /// Bytes 0 to 3 of the destination Ethernet address.
    pub const DMAC_HIGH: u16 = 1 << 8;
    /// Bytes 4 and 5.
    pub const DMAC_LOW: u16 = 1 << 9;
    /// Bytes 0 and 1 of the source Ethernet address.
    pub const SMAC_HIGH: u16 = 1 << 10;
    /// Bytes 2 to 5.
    pub const SMAC_LOW: u16 = 1 << 11;
    /// [`super::Action::Redirect`].
    pub const EGRESS: u16 = 1 << 12;
    /// An address of the other family is changed.
    pub const MIXED: u16 = 1 << 13;
    /// An 802.1ad tag is put on.
    pub const SERVICE_TAG: u16 = 1 << 14;

    /// All of both Ethernet addresses.
    pub const MACS: u16 = DMAC_HIGH | DMAC_LOW | SMAC_HIGH | SMAC_LOW;
    /// What tells the family.
    pub const FAMILY: u16 =
        CONTROL_V4 | CONTROL_V6 | BASIC_V4 | BASIC_V6 | ADDRS_V4 | ADDRS_V6 | PORTS | MIXED;
    /// What a flow of either family needs.
    const ANY: u16 = INGRESS | PORTS | MACS | EGRESS;
    /// Exactly what a flow of IPv4 has said.
    pub const V4: u16 = ANY | CONTROL_V4 | BASIC_V4 | ADDRS_V4;
    /// Exactly what a flow of IPv6 has said.
    pub const V6: u16 = ANY | CONTROL_V6 | BASIC_V6 | ADDRS_V6;
}

/// Collects the keys and actions of one rule.
///
/// # Ethernet addresses
///
/// The kernel's flowtable sets them by four mangles. Bytes 0..4 and 8..12 of the header
/// are whole words, in memory as in the header. The word at offset 4 holds the last two
/// bytes of the destination and the first two of the source; the kernel loads such a
/// pair as a native 16-bit number and *shifts* it to the upper or lower half of the
/// word. So halves are told apart by the number's bits, not by their place in memory,
/// and only within a half does memory give the order. It makes a difference on
/// big-endian machines only.
///
/// # 802.1ad
///
/// The kernel's flowtable puts such a tag on by an action that it leaves empty
/// ([`Action::Accept`]), and in the rule of the opposite direction it neither matches the
/// tag nor takes it off: that rule reads like one for untagged frames. So the refusal of
/// the one direction has to reach the other: [`RuleParser::opposite_of_8021ad`].
#[derive(Debug)]
pub struct RuleParser<'a> {
    /// Where the flow is put together, field by field.
    flow: &'a mut Flow,
    /// What of it is there: [`seen`].
    seen: u16,
    pops: u8,
    sport: u16,
    dport: u16,
    new_sport: Option<u16>,
    new_dport: Option<u16>,
    port_header: Option<L4>,
    vlan: Option<u16>,
    cvlan: Option<u16>,
}

/// Nothing if `ok`, else the reason.
pub(super) fn require(ok: bool, reject: Reject) -> Result<(), Reject> {
    if ok {
        Ok(())
    } else {
        Err(reject)
    }
}

impl VlanKey {
    /// The VLAN ID, if this is a plain 802.1Q tag.
    pub(super) fn vid(&self) -> Result<u16, Reject> {
        require(
            self.id_mask == VLAN_VID_MASK && self.tpid_mask == 0xffff,
            Reject::Mask,
        )?;
        require(self.prio_mask == 0, Reject::VlanPriority)?;
        require(self.tpid == ETH_P_8021Q, Reject::Vlan8021ad)?;
        require(self.id <= VLAN_VID_MASK, Reject::Vlan)?;
        Ok(self.id)
    }
}

impl<'a> RuleParser<'a> {
    /// A parser that has seen nothing and writes to `flow`, which is not to be used before
    /// [`RuleParser::finish`] was `Ok`.
    #[inline]
    pub fn new(flow: &'a mut Flow) -> Self {
        flow.out_encap = Encap::NONE;
        flow.routed = true;
        Self {
            flow,
            seen: 0,
            pops: 0,
            sport: 0,
            dport: 0,
            new_sport: None,
            new_dport: None,
            port_header: None,
            vlan: None,
            cvlan: None,
        }
    }

    fn has(&self, what: u16) -> bool {
        self.seen & what != 0
    }

    /// Takes a key.
    // Where the kind is known when it is compiled, little of this is left.
    #[inline(always)]
    pub fn on_match(&mut self, key: Match) -> Result<(), Reject> {
        match key {
            Match::Meta { ingress, mask } => {
                require(mask == u32::MAX, Reject::Mask)?;
                self.flow.ingress = ingress.ok_or(Reject::ForeignIngress)?;
                self.seen |= seen::INGRESS;
            }
            Match::Control {
                addr_type,
                flags_mask,
            } => {
                require(flags_mask == 0, Reject::ControlFlags)?;
                self.seen |= match addr_type {
                    AddrType::V4 => seen::CONTROL_V4,
                    AddrType::V6 => seen::CONTROL_V6,
                    AddrType::None => return Err(Reject::Layer2),
                    AddrType::Other => return Err(Reject::Family),
                };
            }
            Match::Basic {
                n_proto,
                n_proto_mask,
                ip_proto,
                ip_proto_mask,
            } => {
                require(
                    n_proto_mask == u16::MAX && ip_proto_mask == u8::MAX,
                    Reject::Mask,
                )?;
                let family = match n_proto {
                    ETH_P_IP => seen::BASIC_V4,
                    ETH_P_IPV6 => seen::BASIC_V6,
                    _ => return Err(Reject::Family),
                };
                self.flow.l4 = L4::from_ip_proto(ip_proto).ok_or(Reject::Protocol)?;
                self.seen |= family;
            }
            Match::Ipv4Addrs {
                src,
                dst,
                src_mask,
                dst_mask,
            } => {
                require(src_mask == [0xff; 4] && dst_mask == [0xff; 4], Reject::Mask)?;
                let tuple = Tuple::V4 {
                    src,
                    dst,
                    sport: 0,
                    dport: 0,
                };
                self.flow.tuple = tuple;
                self.flow.new = tuple;
                self.seen |= seen::ADDRS_V4;
            }
            Match::Ipv6Addrs {
                src,
                dst,
                src_mask,
                dst_mask,
            } => {
                require(
                    src_mask == [0xff; 16] && dst_mask == [0xff; 16],
                    Reject::Mask,
                )?;
                let tuple = Tuple::V6 {
                    src,
                    dst,
                    sport: 0,
                    dport: 0,
                };
                self.flow.tuple = tuple;
                self.flow.new = tuple;
                self.seen |= seen::ADDRS_V6;
            }
            Match::Ports {
                sport,
                dport,
                sport_mask,
                dport_mask,
            } => {
                require(
                    sport_mask == u16::MAX && dport_mask == u16::MAX,
                    Reject::Mask,
                )?;
                (self.sport, self.dport) = (sport, dport);
                self.seen |= seen::PORTS;
            }
            Match::Tcp { flags, mask } => {
                require(
                    mask & !TCP_FIN_SYN_RST == 0 && flags & mask == 0,
                    Reject::TcpFlags,
                )?;
            }
            Match::Vlan(key) => self.vlan = Some(key.vid()?),
            Match::Cvlan(key) => self.cvlan = Some(key.vid()?),
            // TOS is no part of an entry's key, and a flow whose packets differ in it is
            // still that flow: some kernels match the TOS of the first packet, ECN bits
            // included.
            Match::Ip { ttl_mask, .. } => require(ttl_mask == 0, Reject::Ttl)?,
            Match::EthAddrs { .. } => return Err(Reject::Layer2),
            Match::Tunnel => return Err(Reject::Tunnel),
            Match::Other { .. } => return Err(Reject::UnknownKey),
        }
        Ok(())
    }

    /// Takes an action.
    #[inline(always)]
    pub fn on_action(&mut self, action: Action) -> Result<(), Reject> {
        match action {
            Action::Mangle {
                header,
                offset,
                mask,
                val,
            } => self.on_mangle(header, offset, mask, val)?,
            Action::VlanPush { vid, proto, prio } => {
                if proto != ETH_P_8021Q {
                    self.seen |= seen::SERVICE_TAG;
                    return Ok(());
                }
                require(prio == 0, Reject::VlanPriority)?;
                require(vid <= VLAN_VID_MASK, Reject::Vlan)?;
                // A tag inside of a PPPoE session.
                require(self.flow.out_encap.pppoe.is_none(), Reject::Pppoe)?;
                require(self.flow.out_encap.push_vlan(vid), Reject::VlanDepth)?;
            }
            Action::VlanPop => self.pops = self.pops.saturating_add(1),
            Action::PppoePush { sid } => {
                require(self.flow.out_encap.pppoe.is_none(), Reject::Pppoe)?;
                self.flow.out_encap.pppoe = Some(sid);
            }
            Action::Csum { .. } => {}
            Action::Redirect { egress } => {
                require(!self.has(seen::EGRESS), Reject::TwoRedirects)?;
                self.flow.egress = egress.ok_or(Reject::ForeignEgress)?;
                self.seen |= seen::EGRESS;
            }
            Action::Accept => self.seen |= seen::SERVICE_TAG,
            Action::Tunnel => return Err(Reject::Tunnel),
            Action::Other { .. } => return Err(Reject::UnknownAction),
        }
        Ok(())
    }

    /// Takes a [`Action::Mangle`].
    #[inline]
    fn on_mangle(
        &mut self,
        header: MangleHeader,
        offset: u32,
        mask: u32,
        val: u32,
    ) -> Result<(), Reject> {
        let bytes = val.to_ne_bytes();
        match header {
            MangleHeader::Eth => {
                let [hi, lo] = [upper(val).to_ne_bytes(), lower(val).to_ne_bytes()];
                let [d0, d1, d2, d3, d4, d5] = &mut self.flow.dmac;
                let [s0, s1, s2, s3, s4, s5] = &mut self.flow.smac;
                self.seen |= match (offset, mask) {
                    (0, 0) => {
                        [*d0, *d1, *d2, *d3] = bytes;
                        seen::DMAC_HIGH
                    }
                    (4, 0xffff_0000) => {
                        [*d4, *d5] = lo;
                        seen::DMAC_LOW
                    }
                    (4, 0x0000_ffff) => {
                        [*s0, *s1] = hi;
                        seen::SMAC_HIGH
                    }
                    (8, 0) => {
                        [*s2, *s3, *s4, *s5] = bytes;
                        seen::SMAC_LOW
                    }
                    _ => return Err(Reject::BadMangle),
                };
            }
            MangleHeader::Ip4 => {
                let is_src = match (offset, mask) {
                    (12, 0) => true,
                    (16, 0) => false,
                    _ => return Err(Reject::BadMangle),
                };
                match &mut self.flow.new {
                    Tuple::V4 { src, dst, .. } if self.seen & seen::ADDRS_V4 != 0 => {
                        *(if is_src { src } else { dst }) = bytes;
                    }
                    _ => self.seen |= seen::MIXED,
                }
            }
            MangleHeader::Ip6 => {
                require(mask == 0, Reject::BadMangle)?;
                let (is_src, at) = match offset {
                    8..=20 => (true, offset.wrapping_sub(8)),
                    24..=36 => (false, offset.wrapping_sub(24)),
                    _ => return Err(Reject::BadMangle),
                };
                require(at & 3 == 0, Reject::BadMangle)?;
                match &mut self.flow.new {
                    Tuple::V6 { src, dst, .. } if self.seen & seen::ADDRS_V6 != 0 => {
                        let address = if is_src { src } else { dst };
                        let word = usize::try_from(at >> 2)
                            .ok()
                            .and_then(|at| address.chunks_exact_mut(4).nth(at))
                            .ok_or(Reject::BadMangle)?;
                        word.copy_from_slice(&bytes);
                    }
                    _ => self.seen |= seen::MIXED,
                }
            }
            MangleHeader::Tcp | MangleHeader::Udp => {
                let l4 = match header {
                    MangleHeader::Tcp => L4::Tcp,
                    _ => L4::Udp,
                };
                require(
                    self.port_header.is_none() || self.port_header == Some(l4),
                    Reject::BadMangle,
                )?;
                self.port_header = Some(l4);
                let [a, b, c, d] = bytes;
                let (sport, dport) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                match (offset, mask.to_ne_bytes()) {
                    (0, [0, 0, 0xff, 0xff]) => self.new_sport = Some(sport),
                    (0, [0xff, 0xff, 0, 0]) => self.new_dport = Some(dport),
                    (0, [0, 0, 0, 0]) => {
                        self.new_sport = Some(sport);
                        self.new_dport = Some(dport);
                    }
                    _ => return Err(Reject::BadMangle),
                }
            }
            MangleHeader::Unspec => return Err(Reject::BadMangle),
        }
        Ok(())
    }

    /// The flow that keys and actions add up to.
    ///
    /// [`Encap::pppoe`] of the ingress side is never set: rules neither match a PPPoE
    /// session nor ask for its header to be taken off; both are implied by the device. The
    /// engine takes it off, as it does with tags, because the entry does not put it on.
    #[inline]
    pub fn finish(&mut self) -> Result<(), Reject> {
        if self.seen != seen::V4 && self.seen != seen::V6 {
            return Err(self.lacks());
        }
        self.set_ports();
        let flow = &mut *self.flow;
        if flow.tuple.is_multicast() || flow.new.is_multicast() {
            return Err(Reject::Multicast);
        }
        if self.port_header.is_some_and(|header| header != flow.l4) {
            return Err(Reject::BadMangle);
        }

        let mut in_encap = Encap::NONE;
        match (self.vlan, self.cvlan) {
            // The kernel's flowtable fills the keys of tags in and does not say that they
            // are used: that a rule is for tagged frames shows in what it takes off.
            (None, None) => {
                for _ in 0..self.pops {
                    require(in_encap.push_vlan(0), Reject::VlanDepth)?;
                }
            }
            (Some(outer), inner) => in_encap.vlan = [Some(outer), inner],
            (None, Some(_)) => return Err(Reject::Vlan),
        }
        // The engine takes all tags off and puts on what the entry says.
        require(self.pops == in_encap.tags(), Reject::Vlan)?;
        flow.in_encap = in_encap;

        require(flow.dmac != [0; 6] && flow.smac != [0; 6], Reject::BadMac)?;
        require(!is_group(&flow.dmac), Reject::Multicast)?;
        require(!is_group(&flow.smac), Reject::BadMac)
    }

    /// What keeps the rule from being a flow's.
    #[cold]
    fn lacks(&self) -> Reject {
        use seen::*;

        if self.has(SERVICE_TAG) {
            return Reject::Vlan8021ad;
        }
        let needs = [
            (INGRESS, Reject::NoMeta),
            (CONTROL_V4 | CONTROL_V6, Reject::NoControl),
            (BASIC_V4 | BASIC_V6, Reject::NoBasic),
            (ADDRS_V4 | ADDRS_V6, Reject::NoAddrs),
            (PORTS, Reject::NoPorts),
        ];
        for (any, reject) in needs {
            if !self.has(any) {
                return reject;
            }
        }
        if !self.is_of_one_family() {
            return Reject::MixedFamily;
        }
        if self.seen & MACS != MACS {
            return Reject::MissingMac;
        }
        Reject::NoRedirect
    }

    /// Whether addresses, ports and protocol are there, all of the same family.
    fn is_of_one_family(&self) -> bool {
        let said = self.seen & seen::FAMILY;
        said == seen::V4 & seen::FAMILY || said == seen::V6 & seen::FAMILY
    }

    /// Writes the ports, which may have come before the addresses.
    #[inline]
    fn set_ports(&mut self) {
        self.flow.tuple.set_ports(self.sport, self.dport);
        self.flow.new.set_ports(
            self.new_sport.unwrap_or(self.sport),
            self.new_dport.unwrap_or(self.dport),
        );
    }

    /// If the rule puts on an 802.1ad tag, the key of the opposite direction of its
    /// connection, whose rule does not tell that it is one of these.
    #[cold]
    pub fn opposite_of_8021ad(&mut self) -> Option<Key> {
        if !self.has(seen::SERVICE_TAG) || !self.is_of_one_family() {
            return None;
        }
        self.set_ports();
        Some(self.flow.opposite())
    }
}

/// Whether an Ethernet address is a group address.
pub(super) const fn is_group(mac: &[u8; 6]) -> bool {
    let [first, ..] = *mac;
    first & 1 != 0
}
