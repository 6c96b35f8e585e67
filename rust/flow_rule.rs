// SPDX-License-Identifier: GPL-2.0-only

//! A read-only, typed view of a flow rule.
//!
//! C header: [`include/net/flow_offload.h`](srctree/include/net/flow_offload.h)
//!
//! Byte order: addresses are byte arrays in network order; ports, protocols and VLAN ids are host
//! order integers. The values of a mangle are what the C structure holds: native-endian words
//! whose bytes in memory are the bytes of the packet.

use super::{
    bindings,
    netdev::NetDevice, //
};
use core::mem::MaybeUninit;
use kernel::types::Opaque;

/// A flow rule (`struct flow_rule`): what to match, and what to do.
///
/// # Invariants
///
/// The rule lives as long as the reference, nobody writes to it, and each key that its dissector
/// names lies within its match.
#[repr(transparent)]
pub struct FlowRule(Opaque<bindings::flow_rule>);

/// A key and the bits of it that have to match.
#[derive(Clone, Copy, Debug)]
pub struct Masked<T> {
    /// The value.
    pub key: T,
    /// Ones where the value has to match.
    pub mask: T,
}

/// Source and destination.
#[derive(Clone, Copy, Debug)]
pub struct Pair<T> {
    /// Source.
    pub src: T,
    /// Destination.
    pub dst: T,
}

/// A VLAN tag to match.
#[derive(Clone, Copy, Debug)]
pub struct VlanKey {
    /// VLAN id, 12 bits.
    pub id: u16,
    /// Priority, 3 bits.
    pub priority: u8,
    /// Protocol of the tag (`ETH_P_8021Q`, `ETH_P_8021AD`).
    pub tpid: u16,
}

/// One key of a rule.
// A view of what the core can say, of which a driver need not ask for all.
#[allow(dead_code)]
#[derive(Clone, Copy, Debug)]
pub enum Match {
    /// `FLOW_DISSECTOR_KEY_META`: interface index of the device the packet came in by.
    Meta {
        /// The interface index.
        ingress_ifindex: Masked<i32>,
    },
    /// `FLOW_DISSECTOR_KEY_CONTROL`.
    Control {
        /// Which address key is meant (`FLOW_DISSECTOR_KEY_IPV4_ADDRS`, …).
        addr_type: u16,
        /// Flags (`FLOW_DIS_IS_FRAGMENT`, …).
        flags: Masked<u32>,
    },
    /// `FLOW_DISSECTOR_KEY_BASIC`.
    Basic {
        /// Layer-3 protocol (`ETH_P_*`).
        n_proto: Masked<u16>,
        /// Layer-4 protocol (`IPPROTO_*`).
        ip_proto: Masked<u8>,
    },
    /// `FLOW_DISSECTOR_KEY_IPV4_ADDRS`.
    Ipv4(Masked<Pair<[u8; 4]>>),
    /// `FLOW_DISSECTOR_KEY_IPV6_ADDRS`.
    Ipv6(Masked<Pair<[u8; 16]>>),
    /// `FLOW_DISSECTOR_KEY_PORTS`.
    Ports(Masked<Pair<u16>>),
    /// `FLOW_DISSECTOR_KEY_TCP`: flags, 12 bits.
    Tcp(Masked<u16>),
    /// `FLOW_DISSECTOR_KEY_VLAN`: outer tag.
    Vlan(Masked<VlanKey>),
    /// `FLOW_DISSECTOR_KEY_CVLAN`: inner tag.
    Cvlan(Masked<VlanKey>),
    /// `FLOW_DISSECTOR_KEY_IP`: DSCP with ECN, and TTL.
    Ip {
        /// The octet with DSCP and ECN.
        tos: Masked<u8>,
        /// TTL or hop limit.
        ttl: Masked<u8>,
    },
    /// `FLOW_DISSECTOR_KEY_ETH_ADDRS`.
    EthAddrs(Masked<Pair<[u8; 6]>>),
    /// One of `FLOW_DISSECTOR_KEY_ENC_*`: the packet comes out of a tunnel.
    Tunnel,
    /// A key this view does not know, by number (`enum flow_dissector_key_id`).
    Other(u32),
}

/// Which header a mangle changes (`enum flow_action_mangle_base`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MangleBase {
    /// `FLOW_ACT_MANGLE_UNSPEC`, which the core sends for protocols without ports.
    Unspec,
    /// Ethernet.
    Eth,
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One action of a rule.
#[derive(Clone, Copy)]
pub enum Action<'a> {
    /// `FLOW_ACTION_MANGLE`: overwrite a word of a header.
    Mangle {
        /// Which header.
        base: MangleBase,
        /// Byte offset of the word in that header.
        offset: u32,
        /// Bits that are kept.
        mask: u32,
        /// Bits that are set.
        val: u32,
    },
    /// `FLOW_ACTION_VLAN_PUSH`.
    VlanPush {
        /// VLAN id.
        vid: u16,
        /// Protocol of the tag (`ETH_P_*`).
        proto: u16,
        /// Priority.
        prio: u8,
    },
    /// `FLOW_ACTION_VLAN_POP`.
    VlanPop,
    /// `FLOW_ACTION_PPPOE_PUSH`.
    PppoePush {
        /// Session id.
        sid: u16,
    },
    /// `FLOW_ACTION_CSUM`: bring checksums up to date.
    Csum {
        /// `TCA_CSUM_UPDATE_FLAG_*`.
        flags: u32,
    },
    /// `FLOW_ACTION_REDIRECT`: send out of a device, which is held only for the call.
    Redirect(Option<&'a NetDevice>),
    /// `FLOW_ACTION_ACCEPT`, number 0. The core never means it: it is what an action that it
    /// reserved but did not fill in looks like.
    Accept,
    /// `FLOW_ACTION_TUNNEL_ENCAP` or `FLOW_ACTION_TUNNEL_DECAP`.
    Tunnel,
    /// An action this view does not know, by number (`enum flow_action_id`).
    Other(u32),
}

macro_rules! key_ids {
    ($($name:ident = $c:ident;)*) => {
        $(const $name: u32 = bindings::$c;)*
    };
}

key_ids! {
    CONTROL = FLOW_DISSECTOR_KEY_CONTROL;
    BASIC = FLOW_DISSECTOR_KEY_BASIC;
    IPV4_ADDRS = FLOW_DISSECTOR_KEY_IPV4_ADDRS;
    IPV6_ADDRS = FLOW_DISSECTOR_KEY_IPV6_ADDRS;
    PORTS = FLOW_DISSECTOR_KEY_PORTS;
    ETH_ADDRS = FLOW_DISSECTOR_KEY_ETH_ADDRS;
    VLAN = FLOW_DISSECTOR_KEY_VLAN;
    CVLAN = FLOW_DISSECTOR_KEY_CVLAN;
    TCP = FLOW_DISSECTOR_KEY_TCP;
    IP = FLOW_DISSECTOR_KEY_IP;
    META = FLOW_DISSECTOR_KEY_META;
    ENC_KEYID = FLOW_DISSECTOR_KEY_ENC_KEYID;
    ENC_IPV4_ADDRS = FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS;
    ENC_IPV6_ADDRS = FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS;
    ENC_CONTROL = FLOW_DISSECTOR_KEY_ENC_CONTROL;
    ENC_PORTS = FLOW_DISSECTOR_KEY_ENC_PORTS;
    ENC_IP = FLOW_DISSECTOR_KEY_ENC_IP;
    ENC_OPTS = FLOW_DISSECTOR_KEY_ENC_OPTS;
}

/// Value of [`Match::Control`]'s `addr_type` for IPv4.
pub const ADDR_TYPE_IPV4: u16 = IPV4_ADDRS as u16;
/// Value of [`Match::Control`]'s `addr_type` for IPv6.
pub const ADDR_TYPE_IPV6: u16 = IPV6_ADDRS as u16;

/// Calls one of the `flow_rule_match_*()` functions and hands out references to key and mask. To
/// be used by [`FlowRule::match_of`] only, for the key that its rule was found to use.
macro_rules! match_key {
    ($rule:expr, $func:ident) => {{
        let mut out = MaybeUninit::uninit();
        // SAFETY: The rule uses the key that the function reads, so by the type invariant both
        // pointers it writes to `out` are valid for as long as the rule.
        let out = unsafe {
            bindings::$func($rule.0.get(), out.as_mut_ptr());
            out.assume_init()
        };
        // SAFETY: As above.
        unsafe { (&*out.key, &*out.mask) }
    }};
}

impl FlowRule {
    /// # Safety
    ///
    /// `ptr` must point to a rule as the flow offload core builds it, which lives and is not
    /// written to for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *const bindings::flow_rule) -> &'a Self {
        // SAFETY: By the requirement of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast::<Self>() }
    }

    /// The keys to match, in the order of their numbers.
    pub fn matches(&self) -> impl Iterator<Item = Match> + '_ {
        // SAFETY: By the type invariant; a rule always has a dissector.
        let used = unsafe { (*(*self.0.get()).match_.dissector).used_keys };
        let mut left = used;
        core::iter::from_fn(move || {
            let id = left.trailing_zeros();
            // The lowest one; none is left of zero.
            left &= left.wrapping_sub(1);
            (id < u64::BITS).then(|| self.match_of(id))
        })
    }

    #[inline]
    fn match_of(&self, id: u32) -> Match {
        fn masked<K, T>(k: (&K, &K), f: impl Fn(&K) -> T) -> Masked<T> {
            Masked {
                key: f(k.0),
                mask: f(k.1),
            }
        }

        fn vlan(v: &bindings::flow_dissector_key_vlan) -> VlanKey {
            // SAFETY: Both members of the union are plain integers over the same two bytes.
            let bits = unsafe { &v.__bindgen_anon_1.__bindgen_anon_1 };
            VlanKey {
                id: bits.vlan_id(),
                // CAST: The field has three bits.
                priority: bits.vlan_priority() as u8,
                tpid: u16::from_be(v.vlan_tpid),
            }
        }

        match id {
            META => Match::Meta {
                ingress_ifindex: masked(match_key!(self, flow_rule_match_meta), |k| {
                    k.ingress_ifindex
                }),
            },
            CONTROL => {
                let k = match_key!(self, flow_rule_match_control);
                Match::Control {
                    addr_type: k.0.addr_type,
                    flags: masked(k, |k| k.flags),
                }
            }
            BASIC => {
                let k = match_key!(self, flow_rule_match_basic);
                Match::Basic {
                    n_proto: masked(k, |k| u16::from_be(k.n_proto)),
                    ip_proto: masked(k, |k| k.ip_proto),
                }
            }
            IPV4_ADDRS => Match::Ipv4(masked(match_key!(self, flow_rule_match_ipv4_addrs), |k| {
                Pair {
                    src: k.src.to_ne_bytes(),
                    dst: k.dst.to_ne_bytes(),
                }
            })),
            IPV6_ADDRS => Match::Ipv6(masked(match_key!(self, flow_rule_match_ipv6_addrs), |k| {
                Pair {
                    // SAFETY: All members of the union are plain integers over the same bytes.
                    src: unsafe { k.src.in6_u.u6_addr8 },
                    // SAFETY: As above.
                    dst: unsafe { k.dst.in6_u.u6_addr8 },
                }
            })),
            PORTS => Match::Ports(masked(match_key!(self, flow_rule_match_ports), |k| {
                // SAFETY: Both members of the union are plain integers over the same bytes.
                let ports = unsafe { &k.__bindgen_anon_1.__bindgen_anon_1 };
                Pair {
                    src: u16::from_be(ports.src),
                    dst: u16::from_be(ports.dst),
                }
            })),
            TCP => Match::Tcp(masked(match_key!(self, flow_rule_match_tcp), |k| {
                u16::from_be(k.flags)
            })),
            VLAN => Match::Vlan(masked(match_key!(self, flow_rule_match_vlan), vlan)),
            CVLAN => Match::Cvlan(masked(match_key!(self, flow_rule_match_cvlan), vlan)),
            IP => {
                let k = match_key!(self, flow_rule_match_ip);
                Match::Ip {
                    tos: masked(k, |k| k.tos),
                    ttl: masked(k, |k| k.ttl),
                }
            }
            ETH_ADDRS => {
                Match::EthAddrs(masked(match_key!(self, flow_rule_match_eth_addrs), |k| {
                    Pair {
                        src: k.src,
                        dst: k.dst,
                    }
                }))
            }
            ENC_KEYID | ENC_IPV4_ADDRS | ENC_IPV6_ADDRS | ENC_CONTROL | ENC_PORTS | ENC_IP
            | ENC_OPTS => Match::Tunnel,
            other => Match::Other(other),
        }
    }

    /// The actions, in order.
    pub fn actions(&self) -> impl Iterator<Item = Action<'_>> {
        // SAFETY: By the type invariant.
        let action = unsafe { &(*self.0.get()).action };
        // SAFETY: `num_entries` entries follow the structure.
        // CAST: A `u32` fits into the `usize` of every architecture with Rust support.
        let entries = unsafe { action.entries.as_slice(action.num_entries as usize) };
        entries.iter().map(Self::action_of)
    }

    #[inline]
    fn action_of(entry: &bindings::flow_action_entry) -> Action<'_> {
        use bindings::*;

        let u = &entry.__bindgen_anon_1;
        match entry.id {
            FLOW_ACTION_ACCEPT => Action::Accept,
            FLOW_ACTION_MANGLE => {
                // SAFETY: `id` says which member of the union is in use.
                let m = unsafe { &u.mangle };
                let base = match m.htype {
                    FLOW_ACT_MANGLE_HDR_TYPE_ETH => MangleBase::Eth,
                    FLOW_ACT_MANGLE_HDR_TYPE_IP4 => MangleBase::Ip4,
                    FLOW_ACT_MANGLE_HDR_TYPE_IP6 => MangleBase::Ip6,
                    FLOW_ACT_MANGLE_HDR_TYPE_TCP => MangleBase::Tcp,
                    FLOW_ACT_MANGLE_HDR_TYPE_UDP => MangleBase::Udp,
                    _ => MangleBase::Unspec,
                };
                Action::Mangle {
                    base,
                    offset: m.offset,
                    mask: m.mask,
                    val: m.val,
                }
            }
            FLOW_ACTION_VLAN_PUSH => {
                // SAFETY: `id` says which member of the union is in use.
                let v = unsafe { &u.vlan };
                Action::VlanPush {
                    vid: v.vid,
                    proto: u16::from_be(v.proto),
                    prio: v.prio,
                }
            }
            FLOW_ACTION_VLAN_POP => Action::VlanPop,
            FLOW_ACTION_PPPOE_PUSH => Action::PppoePush {
                // SAFETY: `id` says which member of the union is in use.
                sid: unsafe { u.pppoe.sid },
            },
            FLOW_ACTION_CSUM => Action::Csum {
                // SAFETY: `id` says which member of the union is in use.
                flags: unsafe { u.csum_flags },
            },
            FLOW_ACTION_REDIRECT => {
                // SAFETY: `id` says which member of the union is in use.
                let dev = unsafe { u.dev };
                Action::Redirect(if dev.is_null() {
                    None
                } else {
                    // SAFETY: The core holds a reference to the device for as long as the rule.
                    Some(unsafe { NetDevice::from_raw(dev) })
                })
            }
            FLOW_ACTION_TUNNEL_ENCAP | FLOW_ACTION_TUNNEL_DECAP => Action::Tunnel,
            other => Action::Other(other),
        }
    }
}
