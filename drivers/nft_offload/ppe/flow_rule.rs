// SPDX-License-Identifier: GPL-2.0-only

//! From the kernel's flow rules to a [`Flow`](super::flow::Flow).
//!
//! The caller hands over the keys a rule matches and then its actions one by one, as the
//! kernel's `struct flow_rule` holds them; [`RuleParser::finish`](parser::RuleParser::finish) says whether they add up
//! to a flow. Keys may come in any order, actions in the rule's.

use super::{
    flow::Tuple,
    netdev::NetId,
    reject::Reject, //
};

pub mod parser;
mod seen;

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
    /// Mask of the drop eligible indicator.
    pub dei_mask: bool,
    /// EtherType behind the tag, in host byte order.
    pub inner: u16,
    /// Mask of `inner`.
    pub inner_mask: u16,
}

/// A key that a rule matches. Values and masks are those of `struct flow_rule`; 16-bit
/// values are given in host byte order, addresses in network byte order. Bits set in a
/// mask have to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// `FLOW_DISSECTOR_KEY_META`.
    Meta {
        /// `ingress_ifindex`, and the namespace that it is of.
        ingress: (i32, NetId),
        /// Mask of `ingress_ifindex`.
        mask: u32,
        /// Masks of the other fields (`ingress_iftype`, `l2_miss`), one beside the other.
        other_masks: u32,
    },
    /// `FLOW_DISSECTOR_KEY_CONTROL`.
    Control {
        /// Kind of addresses.
        addr_type: AddrType,
        /// Mask of `flags`: which of them the rule asks for (fragments and others).
        flags_mask: u32,
        /// Mask of `thoff`, where the transport header begins.
        thoff_mask: u16,
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
    /// [`MangleHeader::Eth`] (see [`RuleParser`](parser::RuleParser)).
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
        /// Index of the device (0 if the rule names none), and the namespace that it is of.
        egress: (i32, NetId),
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
        require(self.prio_mask == 0 && !self.dei_mask, Reject::VlanPriority)?;
        require(self.tpid == ETH_P_8021Q, Reject::Vlan8021ad)?;
        require(self.id <= VLAN_VID_MASK, Reject::Vlan)?;
        Ok(self.id)
    }
}

/// Whether an Ethernet address is a group address.
pub(super) const fn is_group(mac: &[u8; 6]) -> bool {
    let [first, ..] = *mac;
    first & 1 != 0
}

/// What a rule is about, as far as it says so: also one that is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// IP protocol number; 0 if the rule does not match one.
    pub ip_proto: u8,
    /// Addresses and ports as frames arrive, ports of 0 if the rule has none; `None` if it does
    /// not match addresses.
    pub tuple: Option<Tuple>,
    /// The device at which they arrive; `None` if the rule does not say.
    pub ingress: Option<(i32, NetId)>,
    /// The device by which they leave; `None` if the rule does not say.
    pub egress: Option<(i32, NetId)>,
}

impl Outline {
    /// Takes a key. Addresses come before ports.
    pub(super) fn on_match(&mut self, key: &Match) {
        match *key {
            Match::Meta { ingress, .. } => self.ingress = Some(ingress),
            Match::Basic { ip_proto, .. } => self.ip_proto = ip_proto,
            Match::Ipv4Addrs { src, dst, .. } => {
                let (sport, dport) = (0, 0);
                self.tuple = Some(Tuple::V4 {
                    src,
                    dst,
                    sport,
                    dport,
                });
            }
            Match::Ipv6Addrs { src, dst, .. } => {
                let (sport, dport) = (0, 0);
                self.tuple = Some(Tuple::V6 {
                    src,
                    dst,
                    sport,
                    dport,
                });
            }
            Match::Ports { sport, dport, .. } => {
                if let Some(tuple) = &mut self.tuple {
                    tuple.set_ports(sport, dport);
                }
            }
            _ => {}
        }
    }

    /// Takes an action.
    pub(super) fn on_action(&mut self, action: &Action) {
        if let Action::Redirect { egress } = *action {
            self.egress.get_or_insert(egress);
        }
    }
}
