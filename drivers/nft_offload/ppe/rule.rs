// SPDX-License-Identifier: GPL-2.0-only

//! From the kernel's flow rules to a [`Flow`].
//!
//! The caller hands over the keys a rule matches and its actions one by one, as the
//! kernel's `struct flow_rule` holds them; [`RuleParser::finish`] says what they add up
//! to. Keys may come in any order, actions in the rule's.

use super::{
    bits::{
        lower,
        upper, //
    },
    flow::{
        Encap,
        Flow,
        Key,
        PsePort,
        Tuple,
        L4, //
    },
    reject::Reject, //
};

/// EtherType of IPv4.
const ETH_P_IP: u16 = 0x0800;
/// EtherType of IPv6.
const ETH_P_IPV6: u16 = 0x86dd;
/// EtherType of an 802.1Q tag.
const ETH_P_8021Q: u16 = 0x8100;

/// Bits of a VLAN ID.
const VLAN_VID_MASK: u16 = 0x0fff;

/// TCP flags FIN, SYN and RST, in the layout of [`Match::Tcp`]. Segments that carry one
/// go to the CPU whatever the entry says, so a rule that wants none of them is met.
const TCP_FIN_SYN_RST: u16 = 0x0007;

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
        /// The engine's port that `ingress_ifindex` stands for, `None` if it is no port
        /// of this engine.
        ingress: Option<PsePort>,
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
    EthAddrs,
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
    /// `FLOW_ACT_MANGLE_UNSPEC` and anything else.
    Unspec,
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
        /// The engine's port that the device stands for, `None` if it is no port of this
        /// engine.
        egress: Option<PsePort>,
        /// Port of the Ethernet switch behind it, if the device is one (DSA).
        dsa: Option<u8>,
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

/// Ethernet addresses as far as the mangles have set them.
#[derive(Clone, Copy, Debug, Default)]
struct Macs {
    dst_hi: Option<[u8; 4]>,
    dst_lo: Option<[u8; 2]>,
    src_hi: Option<[u8; 2]>,
    src_lo: Option<[u8; 4]>,
}

impl Macs {
    /// Destination and source address, if all of both is set.
    fn complete(&self) -> Option<([u8; 6], [u8; 6])> {
        let ([a, b, c, d], [e, f]) = (self.dst_hi?, self.dst_lo?);
        let ([g, h], [i, j, k, l]) = (self.src_hi?, self.src_lo?);
        Some(([a, b, c, d, e, f], [g, h, i, j, k, l]))
    }
}

/// Addresses that a rule matches.
#[derive(Clone, Copy, Debug)]
enum Addrs {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
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
#[derive(Clone, Debug, Default)]
pub struct RuleParser {
    ingress: Option<PsePort>,
    addr_type: Option<AddrType>,
    n_proto: Option<u16>,
    l4: Option<L4>,
    addrs: Option<Addrs>,
    ports: Option<(u16, u16)>,
    vlan: Option<u16>,
    cvlan: Option<u16>,
    pops: u8,
    macs: Macs,
    new_src4: Option<[u8; 4]>,
    new_dst4: Option<[u8; 4]>,
    new_src6: [Option<[u8; 4]>; 4],
    new_dst6: [Option<[u8; 4]>; 4],
    new_sport: Option<u16>,
    new_dport: Option<u16>,
    port_header: Option<L4>,
    out_encap: Encap,
    egress: Option<PsePort>,
    dsa: Option<u8>,
    service_tag: bool,
}

/// `value` if `ok`, else the reason.
fn require(ok: bool, reject: Reject) -> Result<(), Reject> {
    if ok {
        Ok(())
    } else {
        Err(reject)
    }
}

impl VlanKey {
    /// The VLAN ID, if this is a plain 802.1Q tag.
    fn vid(&self) -> Result<u16, Reject> {
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

impl RuleParser {
    /// A parser that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a key.
    // Where the kind is known when it is compiled, little of this is left.
    #[inline(always)]
    pub fn on_match(&mut self, key: Match) -> Result<(), Reject> {
        match key {
            Match::Meta { ingress, mask } => {
                require(mask == u32::MAX, Reject::Mask)?;
                self.ingress = Some(ingress.ok_or(Reject::ForeignIngress)?);
            }
            Match::Control {
                addr_type,
                flags_mask,
            } => {
                require(flags_mask == 0, Reject::ControlFlags)?;
                self.addr_type = match addr_type {
                    AddrType::V4 | AddrType::V6 => Some(addr_type),
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
                require(n_proto == ETH_P_IP || n_proto == ETH_P_IPV6, Reject::Family)?;
                self.n_proto = Some(n_proto);
                self.l4 = Some(L4::from_ip_proto(ip_proto).ok_or(Reject::Protocol)?);
            }
            Match::Ipv4Addrs {
                src,
                dst,
                src_mask,
                dst_mask,
            } => {
                require(src_mask == [0xff; 4] && dst_mask == [0xff; 4], Reject::Mask)?;
                self.addrs = Some(Addrs::V4(src, dst));
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
                self.addrs = Some(Addrs::V6(src, dst));
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
                self.ports = Some((sport, dport));
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
            Match::EthAddrs => return Err(Reject::Layer2),
            Match::Tunnel => return Err(Reject::Tunnel),
            Match::Other { .. } => return Err(Reject::UnknownKey),
        }
        Ok(())
    }

    /// Takes an action.
    #[inline]
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
                    self.service_tag = true;
                    return Ok(());
                }
                require(prio == 0, Reject::VlanPriority)?;
                require(vid <= VLAN_VID_MASK, Reject::Vlan)?;
                // A tag inside of a PPPoE session.
                require(self.out_encap.pppoe.is_none(), Reject::Pppoe)?;
                require(self.out_encap.push_vlan(vid), Reject::VlanDepth)?;
            }
            Action::VlanPop => self.pops = self.pops.saturating_add(1),
            Action::PppoePush { sid } => {
                require(self.out_encap.pppoe.is_none(), Reject::Pppoe)?;
                self.out_encap.pppoe = Some(sid);
            }
            Action::Csum { .. } => {}
            Action::Redirect { egress, dsa } => {
                require(self.egress.is_none(), Reject::TwoRedirects)?;
                self.dsa = dsa;
                self.egress = Some(egress.ok_or(Reject::ForeignEgress)?);
            }
            Action::Accept => self.service_tag = true,
            Action::Tunnel => return Err(Reject::Tunnel),
            Action::Other { .. } => return Err(Reject::UnknownAction),
        }
        Ok(())
    }

    /// Takes a [`Action::Mangle`].
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
                match (offset, mask) {
                    (0, 0) => self.macs.dst_hi = Some(bytes),
                    (4, 0xffff_0000) => self.macs.dst_lo = Some(lo),
                    (4, 0x0000_ffff) => self.macs.src_hi = Some(hi),
                    (8, 0) => self.macs.src_lo = Some(bytes),
                    _ => return Err(Reject::BadMangle),
                }
            }
            MangleHeader::Ip4 => match (offset, mask) {
                (12, 0) => self.new_src4 = Some(bytes),
                (16, 0) => self.new_dst4 = Some(bytes),
                _ => return Err(Reject::BadMangle),
            },
            MangleHeader::Ip6 => {
                require(mask == 0, Reject::BadMangle)?;
                let (address, at) = match offset {
                    8..=20 => (&mut self.new_src6, offset.wrapping_sub(8)),
                    24..=36 => (&mut self.new_dst6, offset.wrapping_sub(24)),
                    _ => return Err(Reject::BadMangle),
                };
                require(at & 3 == 0, Reject::BadMangle)?;
                let word = usize::try_from(at >> 2)
                    .ok()
                    .and_then(|at| address.get_mut(at))
                    .ok_or(Reject::BadMangle)?;
                *word = Some(bytes);
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
    pub fn finish(&self) -> Result<Flow, Reject> {
        require(!self.service_tag, Reject::Vlan8021ad)?;
        let ingress = self.ingress.ok_or(Reject::NoMeta)?;
        let addr_type = self.addr_type.ok_or(Reject::NoControl)?;
        let (n_proto, l4) = self.n_proto.zip(self.l4).ok_or(Reject::NoBasic)?;
        let (tuple, new) = self.tuples(addr_type, n_proto)?;
        if tuple.is_multicast() || new.is_multicast() {
            return Err(Reject::Multicast);
        }
        if self.port_header.is_some_and(|header| header != l4) {
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

        let (dmac, smac) = self.macs.complete().ok_or(Reject::MissingMac)?;
        require(dmac != [0; 6] && smac != [0; 6], Reject::BadMac)?;
        require(!is_group(&dmac), Reject::Multicast)?;
        require(!is_group(&smac), Reject::BadMac)?;

        Ok(Flow {
            ingress,
            egress: self.egress.ok_or(Reject::NoRedirect)?,
            dsa: self.dsa,
            l4,
            tuple,
            new,
            smac,
            dmac,
            in_encap,
            out_encap: self.out_encap,
        })
    }

    /// If the rule puts on an 802.1ad tag, the key of the opposite direction of its
    /// connection, whose rule does not tell that it is one of these.
    pub fn opposite_of_8021ad(&self) -> Option<Key> {
        if !self.service_tag {
            return None;
        }
        let (_, new) = self.tuples(self.addr_type?, self.n_proto?).ok()?;
        Some(Key {
            l4: self.l4?,
            tuple: new.reversed(),
        })
    }

    /// Addresses and ports as the frame arrives and as it leaves.
    fn tuples(&self, addr_type: AddrType, n_proto: u16) -> Result<(Tuple, Tuple), Reject> {
        let addrs = self.addrs.ok_or(Reject::NoAddrs)?;
        let (sport, dport) = self.ports.ok_or(Reject::NoPorts)?;
        let new_sport = self.new_sport.unwrap_or(sport);
        let new_dport = self.new_dport.unwrap_or(dport);
        match (addr_type, n_proto, addrs) {
            (AddrType::V4, ETH_P_IP, Addrs::V4(src, dst)) => {
                let mangled6 = self.new_src6.iter().chain(&self.new_dst6);
                require(mangled6.flatten().next().is_none(), Reject::MixedFamily)?;
                let tuple = Tuple::V4 {
                    src,
                    dst,
                    sport,
                    dport,
                };
                let new = Tuple::V4 {
                    src: self.new_src4.unwrap_or(src),
                    dst: self.new_dst4.unwrap_or(dst),
                    sport: new_sport,
                    dport: new_dport,
                };
                Ok((tuple, new))
            }
            (AddrType::V6, ETH_P_IPV6, Addrs::V6(src, dst)) => {
                require(
                    self.new_src4.is_none() && self.new_dst4.is_none(),
                    Reject::MixedFamily,
                )?;
                let tuple = Tuple::V6 {
                    src,
                    dst,
                    sport,
                    dport,
                };
                let new = Tuple::V6 {
                    src: patch(src, &self.new_src6),
                    dst: patch(dst, &self.new_dst6),
                    sport: new_sport,
                    dport: new_dport,
                };
                Ok((tuple, new))
            }
            _ => Err(Reject::MixedFamily),
        }
    }
}

/// `address` with those of its words replaced that `words` has.
fn patch(mut address: [u8; 16], words: &[Option<[u8; 4]>; 4]) -> [u8; 16] {
    for (old, new) in address.chunks_exact_mut(4).zip(words) {
        if let Some(new) = new {
            old.copy_from_slice(new);
        }
    }
    address
}

/// Whether an Ethernet address is a group address.
const fn is_group(mac: &[u8; 6]) -> bool {
    let [first, ..] = *mac;
    first & 1 != 0
}
