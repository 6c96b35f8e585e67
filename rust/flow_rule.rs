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
use core::hint;
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
    /// Drop eligible indicator.
    pub dei: bool,
    /// Protocol of the tag (`ETH_P_8021Q`, `ETH_P_8021AD`).
    pub tpid: u16,
    /// EtherType behind the tag.
    pub inner: u16,
}

/// `FLOW_DISSECTOR_KEY_META`.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Interface index of the device the packet came in by.
    pub ifindex: Masked<i32>,
    /// Mask of the type of that device.
    pub iftype_mask: u16,
    /// Mask of whether a bridge did not know the packet's destination.
    pub l2_miss_mask: u8,
}

/// `FLOW_DISSECTOR_KEY_CONTROL`.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Which address key is meant ([`ADDR_TYPE_IPV4`], …).
    pub addr_type: u16,
    /// Flags (`FLOW_DIS_IS_FRAGMENT`, …).
    pub flags: Masked<u32>,
    /// Mask of where the transport header begins.
    pub thoff_mask: u16,
}

/// `FLOW_DISSECTOR_KEY_BASIC`.
#[derive(Clone, Copy, Debug)]
pub struct Basic {
    /// Layer-3 protocol (`ETH_P_*`).
    pub n_proto: Masked<u16>,
    /// Layer-4 protocol (`IPPROTO_*`).
    pub ip_proto: Masked<u8>,
}

/// `FLOW_DISSECTOR_KEY_IP`.
#[derive(Clone, Copy, Debug)]
pub struct Ip {
    /// The octet with DSCP and ECN.
    pub tos: Masked<u8>,
    /// TTL or hop limit.
    pub ttl: Masked<u8>,
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

/// One action of a rule. Most are mangles.
#[derive(Clone, Copy)]
pub struct ActionEntry<'a>(&'a bindings::flow_action_entry);

/// `FLOW_ACTION_MANGLE`: overwrite a word of a header.
#[derive(Clone, Copy)]
pub struct Mangle {
    /// Which header.
    pub base: MangleBase,
    /// Byte offset of the word in that header.
    pub offset: u32,
    /// Bits that are kept.
    pub mask: u32,
    /// Bits that are set.
    pub val: u32,
}

/// An action that is not a [`Mangle`].
#[derive(Clone, Copy)]
pub enum Action<'a> {
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

/// Value of [`Control::addr_type`] for IPv4.
// CAST: Numbers of keys are small.
pub const ADDR_TYPE_IPV4: u16 = bindings::FLOW_DISSECTOR_KEY_IPV4_ADDRS as u16;
/// Value of [`Control::addr_type`] for IPv6.
// CAST: As above.
pub const ADDR_TYPE_IPV6: u16 = bindings::FLOW_DISSECTOR_KEY_IPV6_ADDRS as u16;

/// The bits of keys in a dissector's `used_keys`.
const fn bits(ids: &[u32]) -> u64 {
    let mut bits = 0;
    let mut at = 0;
    while at < ids.len() {
        bits |= 1 << ids[at];
        at += 1;
    }
    bits
}

/// Keys of outer headers.
const TUNNEL: u64 = {
    use bindings::*;
    bits(&[
        FLOW_DISSECTOR_KEY_ENC_KEYID,
        FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS,
        FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS,
        FLOW_DISSECTOR_KEY_ENC_CONTROL,
        FLOW_DISSECTOR_KEY_ENC_PORTS,
        FLOW_DISSECTOR_KEY_ENC_IP,
        FLOW_DISSECTOR_KEY_ENC_OPTS,
    ])
};

/// Keys that rules of a flowtable seldom have.
const RARE: u64 = {
    use bindings::*;
    TUNNEL
        | bits(&[
            FLOW_DISSECTOR_KEY_ETH_ADDRS,
            FLOW_DISSECTOR_KEY_VLAN,
            FLOW_DISSECTOR_KEY_CVLAN,
            FLOW_DISSECTOR_KEY_IP,
        ])
};

/// Keys that there is a function for.
const KNOWN: u64 = {
    use bindings::*;
    RARE | bits(&[
        FLOW_DISSECTOR_KEY_CONTROL,
        FLOW_DISSECTOR_KEY_BASIC,
        FLOW_DISSECTOR_KEY_IPV4_ADDRS,
        FLOW_DISSECTOR_KEY_IPV6_ADDRS,
        FLOW_DISSECTOR_KEY_PORTS,
        FLOW_DISSECTOR_KEY_TCP,
        FLOW_DISSECTOR_KEY_META,
    ])
};

impl VlanKey {
    #[inline]
    fn of(key: &bindings::flow_dissector_key_vlan) -> Self {
        // SAFETY: Both members of the union are plain integers over the same two bytes.
        let bits = unsafe { &key.__bindgen_anon_1.__bindgen_anon_1 };
        Self {
            id: bits.vlan_id(),
            // CAST: The field has three bits.
            priority: bits.vlan_priority() as u8,
            dei: bits.vlan_dei() != 0,
            tpid: u16::from_be(key.vlan_tpid),
            inner: u16::from_be(key.vlan_eth_type),
        }
    }
}

impl<T> Masked<T> {
    /// `get` of key and mask.
    #[inline]
    fn of<K>((key, mask): (&K, &K), get: impl Fn(&K) -> T) -> Self {
        Self {
            key: get(key),
            mask: get(mask),
        }
    }
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

    #[inline]
    fn used_keys(&self) -> u64 {
        // SAFETY: By the type invariant; a rule always has a dissector.
        unsafe { (*(*self.0.get()).match_.dissector).used_keys }
    }

    /// Key `ID` and its mask, if the rule matches it: what `flow_rule_match_*()` find, which
    /// are too many calls for a rule.
    ///
    /// # Safety
    ///
    /// `K` must be the C type of that key, made of plain integers.
    #[inline(always)]
    unsafe fn key<const ID: u32, K>(&self) -> Option<(&K, &K)> {
        if self.used_keys() & (1 << ID) == 0 {
            return None;
        }
        // SAFETY: By the type invariant, for both; a rule always has a dissector.
        let (rule, dissector) = unsafe {
            let rule = &(*self.0.get()).match_;
            (rule, &*rule.dissector)
        };
        // CAST: Numbers of keys are small.
        let offset = usize::from(dissector.offset[ID as usize]);
        // SAFETY: By the type invariant, as the dissector names the key.
        let (key, mask) = unsafe { (rule.key.byte_add(offset), rule.mask.byte_add(offset)) };
        // Else whoever asks for the key tests it once more.
        // SAFETY: It points into the rule.
        unsafe { hint::assert_unchecked(!key.is_null()) };
        // SAFETY: By the type invariant; the type is right by the requirement of this function.
        Some(unsafe { (&*key.cast::<K>(), &*mask.cast::<K>()) })
    }

    /// `FLOW_DISSECTOR_KEY_META`.
    #[inline]
    pub fn meta(&self) -> Option<Meta> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_META }, bindings::flow_dissector_key_meta>()
        }?;
        Some(Meta {
            ifindex: Masked::of(key, |k| k.ingress_ifindex),
            iftype_mask: key.1.ingress_iftype,
            l2_miss_mask: key.1.l2_miss,
        })
    }

    /// `FLOW_DISSECTOR_KEY_CONTROL`.
    #[inline]
    pub fn control(&self) -> Option<Control> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_CONTROL }, bindings::flow_dissector_key_control>()
        }?;
        Some(Control {
            addr_type: key.0.addr_type,
            flags: Masked::of(key, |k| k.flags),
            thoff_mask: key.1.thoff,
        })
    }

    /// `FLOW_DISSECTOR_KEY_BASIC`.
    #[inline]
    pub fn basic(&self) -> Option<Basic> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_BASIC }, bindings::flow_dissector_key_basic>()
        }?;
        Some(Basic {
            n_proto: Masked::of(key, |k| u16::from_be(k.n_proto)),
            ip_proto: Masked::of(key, |k| k.ip_proto),
        })
    }

    /// `FLOW_DISSECTOR_KEY_IPV4_ADDRS`.
    #[inline]
    pub fn ipv4_addrs(&self) -> Option<Masked<Pair<[u8; 4]>>> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<
                { bindings::FLOW_DISSECTOR_KEY_IPV4_ADDRS },
                bindings::flow_dissector_key_ipv4_addrs,
            >()
        };
        Some(Masked::of(key?, |k| Pair {
            src: k.src.to_ne_bytes(),
            dst: k.dst.to_ne_bytes(),
        }))
    }

    /// `FLOW_DISSECTOR_KEY_IPV6_ADDRS`.
    #[inline]
    pub fn ipv6_addrs(&self) -> Option<Masked<Pair<[u8; 16]>>> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<
                { bindings::FLOW_DISSECTOR_KEY_IPV6_ADDRS },
                bindings::flow_dissector_key_ipv6_addrs,
            >()
        };
        Some(Masked::of(key?, |k| Pair {
            // SAFETY: All members of the union are plain integers over the same bytes.
            src: unsafe { k.src.in6_u.u6_addr8 },
            // SAFETY: As above.
            dst: unsafe { k.dst.in6_u.u6_addr8 },
        }))
    }

    /// `FLOW_DISSECTOR_KEY_PORTS`.
    #[inline]
    pub fn ports(&self) -> Option<Masked<Pair<u16>>> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_PORTS }, bindings::flow_dissector_key_ports>()
        };
        Some(Masked::of(key?, |k| {
            // SAFETY: Both members of the union are plain integers over the same bytes.
            let ports = unsafe { &k.__bindgen_anon_1.__bindgen_anon_1 };
            Pair {
                src: u16::from_be(ports.src),
                dst: u16::from_be(ports.dst),
            }
        }))
    }

    /// `FLOW_DISSECTOR_KEY_TCP`: flags, 12 bits.
    #[inline]
    pub fn tcp_flags(&self) -> Option<Masked<u16>> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_TCP }, bindings::flow_dissector_key_tcp>()
        };
        Some(Masked::of(key?, |k| u16::from_be(k.flags)))
    }

    /// `FLOW_DISSECTOR_KEY_VLAN`: outer tag.
    #[inline]
    pub fn vlan(&self) -> Option<Masked<VlanKey>> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_VLAN }, bindings::flow_dissector_key_vlan>()
        };
        Some(Masked::of(key?, VlanKey::of))
    }

    /// `FLOW_DISSECTOR_KEY_CVLAN`: inner tag.
    #[inline]
    pub fn cvlan(&self) -> Option<Masked<VlanKey>> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_CVLAN }, bindings::flow_dissector_key_vlan>()
        };
        Some(Masked::of(key?, VlanKey::of))
    }

    /// `FLOW_DISSECTOR_KEY_IP`: DSCP with ECN, and TTL.
    #[inline]
    pub fn ip(&self) -> Option<Ip> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<{ bindings::FLOW_DISSECTOR_KEY_IP }, bindings::flow_dissector_key_ip>()
        }?;
        Some(Ip {
            tos: Masked::of(key, |k| k.tos),
            ttl: Masked::of(key, |k| k.ttl),
        })
    }

    /// `FLOW_DISSECTOR_KEY_ETH_ADDRS`.
    #[inline]
    pub fn eth_addrs(&self) -> Option<Masked<Pair<[u8; 6]>>> {
        // SAFETY: It is that key's type.
        let key = unsafe {
            self.key::<
                { bindings::FLOW_DISSECTOR_KEY_ETH_ADDRS },
                bindings::flow_dissector_key_eth_addrs,
            >()
        };
        Some(Masked::of(key?, |k| Pair {
            src: k.src,
            dst: k.dst,
        }))
    }

    /// Whether there may be anything but `None` from [`FlowRule::vlan`], [`FlowRule::cvlan`],
    /// [`FlowRule::ip`], [`FlowRule::eth_addrs`] and [`FlowRule::is_tunnelled`].
    #[inline]
    pub fn has_rare_keys(&self) -> bool {
        self.used_keys() & RARE != 0
    }

    /// One of `FLOW_DISSECTOR_KEY_ENC_*`: whether the packet comes out of a tunnel.
    #[inline]
    pub fn is_tunnelled(&self) -> bool {
        self.used_keys() & TUNNEL != 0
    }

    /// A key that this view does not know, by number (`enum flow_dissector_key_id`), if the rule
    /// matches one.
    #[inline]
    pub fn other_key(&self) -> Option<u32> {
        let other = self.used_keys() & !KNOWN;
        (other != 0).then(|| other.trailing_zeros())
    }

    /// Whether the user asks for counters of the hardware (`hw_stats immediate` or `delayed`), and
    /// does not leave it to the driver whether there are any.
    pub fn demands_counters(&self) -> bool {
        const IMMEDIATE: u32 = bindings::FLOW_ACTION_HW_STATS_IMMEDIATE;
        const DELAYED: u32 = bindings::FLOW_ACTION_HW_STATS_DELAYED;

        self.entries()
            .iter()
            .any(|entry| matches!(entry.hw_stats, IMMEDIATE | DELAYED))
    }

    fn entries(&self) -> &[bindings::flow_action_entry] {
        // SAFETY: By the type invariant.
        let action = unsafe { &(*self.0.get()).action };
        // SAFETY: `num_entries` entries follow the structure.
        // CAST: A `u32` fits into the `usize` of every architecture with Rust support.
        unsafe { action.entries.as_slice(action.num_entries as usize) }
    }

    /// The actions, in order.
    pub fn actions(&self) -> impl Iterator<Item = ActionEntry<'_>> {
        self.entries().iter().map(ActionEntry)
    }
}

impl<'a> ActionEntry<'a> {
    /// What it overwrites, if that is what it does.
    #[inline(always)]
    pub fn mangle(self) -> Option<Mangle> {
        use bindings::*;

        if self.0.id != FLOW_ACTION_MANGLE {
            return None;
        }
        // SAFETY: `id` says which member of the union is in use.
        let m = unsafe { &self.0.__bindgen_anon_1.mangle };
        let base = match m.htype {
            FLOW_ACT_MANGLE_HDR_TYPE_ETH => MangleBase::Eth,
            FLOW_ACT_MANGLE_HDR_TYPE_IP4 => MangleBase::Ip4,
            FLOW_ACT_MANGLE_HDR_TYPE_IP6 => MangleBase::Ip6,
            FLOW_ACT_MANGLE_HDR_TYPE_TCP => MangleBase::Tcp,
            FLOW_ACT_MANGLE_HDR_TYPE_UDP => MangleBase::Udp,
            _ => MangleBase::Unspec,
        };
        Some(Mangle {
            base,
            offset: m.offset,
            mask: m.mask,
            val: m.val,
        })
    }

    /// The action, if it is not a [`Mangle`].
    #[inline(always)]
    pub fn other(self) -> Action<'a> {
        use bindings::*;

        let u = &self.0.__bindgen_anon_1;
        match self.0.id {
            FLOW_ACTION_ACCEPT => Action::Accept,
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
