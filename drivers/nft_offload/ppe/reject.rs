// SPDX-License-Identifier: GPL-2.0-only

//! Why a flow is not offloaded.

use core::{
    ffi::CStr,
    fmt, //
};

/// What the kernel is told about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrnoClass {
    /// `-EOPNOTSUPP`: the flow goes on in software.
    Unsupported,
    /// `-ENOSPC`: there is no room now, there may be later.
    NoSpace,
}

/// `text`, which ends with a zero and has no other.
const fn message(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

macro_rules! rejects {
    ($($(#[$doc:meta])* $variant:ident $name:literal $class:ident $describe:literal,)*) => {
        /// A reason for which a flow is refused. Names are stable: scripts and
        /// documentation refer to them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reject {
            $(
                #[doc = concat!("`", $name, "`: ", $describe)]
                $variant,
            )*
        }

        impl Reject {
            /// Every reason, in the order of [`Reject::index`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Number of reasons.
            pub const COUNT: usize = Self::ALL.len();

            /// The stable name, in kebab case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// [`Self::name`] and one sentence for people: what it means and what can be done.
            /// For the kernel to hand on.
            pub const fn message(self) -> &'static CStr {
                match self {
                    $(Self::$variant => message(concat!($name, ": ", $describe, "\0")),)*
                }
            }

            /// What the kernel is told.
            pub const fn errno_class(self) -> ErrnoClass {
                match self {
                    $(Self::$variant => ErrnoClass::$class,)*
                }
            }
        }
    };
}

rejects! {
    ForeignIngress "foreign-ingress" Unsupported
        "Frames arrive at a device that is no port of this engine; nothing to do, software forwards them.",
    ForeignEgress "foreign-egress" Unsupported
        "Frames leave by a device that is no port of this engine; nothing to do, software forwards them.",
    PortDown "port-down" Unsupported
        "A port of the flow has no link; it is offloaded when the link is back and the flow still runs.",
    Hairpin "hairpin" Unsupported
        "The flow leaves by the port it came in at, which this chip does not forward.",
    NoMeta "no-meta" Unsupported
        "The rule does not say at which device frames arrive; the kernel's flowtable always does, so look for another source of rules.",
    NoControl "no-control" Unsupported
        "The rule does not say which kind of addresses it matches; the kernel's flowtable always does, so look for another source of rules.",
    NoBasic "no-basic" Unsupported
        "The rule does not say which protocol it matches; the kernel's flowtable always does, so look for another source of rules.",
    NoAddrs "no-addresses" Unsupported
        "The rule does not match source and destination address; the kernel's flowtable always does, so look for another source of rules.",
    NoPorts "no-ports" Unsupported
        "The rule does not match source and destination port; the kernel's flowtable always does for TCP and UDP, so look for another source of rules.",
    Mask "mask" Unsupported
        "The rule matches only a part of a field; the engine finds entries by whole addresses and ports.",
    UnknownKey "unknown-key" Unsupported
        "The rule matches a field this module does not know; please report the kernel's version and the key in the log of refused flows.",
    ControlFlags "control-flags" Unsupported
        "The rule asks for fragments or other properties of the packet that no entry can hold.",
    TcpFlags "tcp-flags" Unsupported
        "The rule asks for TCP flags; the engine only knows that FIN, SYN and RST go to the CPU.",
    Ttl "ttl" Unsupported
        "The rule asks for a TTL or hop limit, which no entry can hold.",
    Layer2 "layer2" Unsupported
        "The flow is bridged, which this chip does not do, or the rule of a flowtable matches Ethernet addresses.",
    NotBridged "not-bridged" Unsupported
        "The rule of a classifier is not for bridged frames: it does not match both Ethernet addresses, or matches IP addresses, ports or the like; routed flows are offloaded by a flowtable.",
    Chain "chain" Unsupported
        "The rule is in another chain than 0, of which the engine cannot know when it is reached.",
    NoCounters "no-counters" Unsupported
        "The rule asks for hardware counters, which this chip does not have; leave hw_stats out.",
    Family "family" Unsupported
        "The flow is neither IPv4 nor IPv6, or of a family this chip does not forward.",
    MixedFamily "mixed-family" Unsupported
        "The rule mixes IPv4 and IPv6; translation between them stays in software.",
    Protocol "protocol" Unsupported
        "The flow is neither TCP nor UDP; GRE, ESP, ICMP and others stay in software.",
    Multicast "multicast" Unsupported
        "The flow goes to a group and not to one host; it stays in software.",
    Nat44 "nat44" Unsupported
        "The flow needs IPv4 address translation, which this chip does not do.",
    Nat66 "nat66" Unsupported
        "The flow needs IPv6 address or port translation, which this chip does not do; route IPv6 without NAT to have it offloaded.",
    BadMangle "bad-mangle" Unsupported
        "The rule rewrites a field other than Ethernet addresses, IP addresses and ports, or only a part of one.",
    MissingMac "missing-mac" Unsupported
        "The rule does not set all of both Ethernet addresses; it is offloaded once the neighbour is known.",
    BadMac "bad-mac" Unsupported
        "The Ethernet source is a group address or an address is zero; check the addresses of device and neighbour.",
    Vlan "vlan" Unsupported
        "The flow carries VLAN tags in a way this chip does not handle.",
    VlanDepth "vlan-depth" Unsupported
        "The flow carries more headers (VLAN tags, PPPoE) than the chip handles.",
    VlanPriority "vlan-priority" Unsupported
        "The rule matches or sets the priority of a VLAN tag, which no entry can hold.",
    Vlan8021ad "vlan-8021ad" Unsupported
        "The flow carries an 802.1ad (QinQ) tag, which the kernel does not pass on rightly; use 802.1Q for both tags.",
    Pppoe "pppoe" Unsupported
        "The flow carries PPPoE in a way this chip does not handle.",
    Dsa "dsa" Unsupported
        "The flow passes a port of an Ethernet switch that this chip cannot name to the switch.",
    DsaTag "dsa-tag" Unsupported
        "The flow passes a port of an Ethernet switch whose tags (DSA) are of a protocol that this chip does not handle; `/sys/class/net/<conduit>/dsa/tagging` names it.",
    Tunnel "tunnel" Unsupported
        "The flow goes through a tunnel; tunnels stay in software.",
    UnknownAction "unknown-action" Unsupported
        "The rule asks for an action this module does not know; please report the kernel's version and the action in the log of refused flows.",
    NoRedirect "no-redirect" Unsupported
        "The rule does not say by which device frames leave; the kernel's flowtable always does, so look for another source of rules.",
    TwoRedirects "two-redirects" Unsupported
        "The rule sends frames to more than one device; entries have one port.",
    ShapedEgress "shaped-egress" Unsupported
        "The flow passes a device whose traffic is shaped (CAKE, HTB and the like), which the engine would bypass; the kernel's log names the device, and Documentation/guide/sqm.md says how to choose.",
    TcFilter "tc-filter" Unsupported
        "The flow passes a device with filters of tc, such as mirrors or policers, which the engine would bypass; the kernel's log names the device: remove the filters, or write `refuse_tc_filters 0` to the file `policy` to have them bypassed.",
    NetdevChain "netdev-chain" Unsupported
        "The flow passes a device with rules of nft at its ingress or egress, which the engine would bypass; the kernel's log names the device: delete the chain, or write `refuse_netdev_chains 0` to the file `policy` to have it bypassed.",
    Xdp "xdp" Unsupported
        "The flow arrives by a device with an XDP program, which the engine would bypass; the kernel's log names the device: detach the program, or write `refuse_xdp 0` to the file `policy` to have it bypassed.",
    EgressQosMap "egress-qos-map" Unsupported
        "The flow leaves by a VLAN device that sets the priority of tags, which no entry can hold; set the device up without egress-qos-map.",
    MultiVlan "multi-vlan" Unsupported
        "The flow arrives at a port with several VLANs, and the engine does not look at the VLAN of arriving frames; write `refuse_multi_vlan 0` to the file `policy` if all hosts at the port may be trusted.",
    Mtu "mtu" Unsupported
        "The route of the flow, or a device on its path, takes smaller packets than the ports, and the engine has one limit for all ports; give a port on the path that MTU (`ip link set <port> mtu <bytes>`) to have the flow offloaded.",
    OtherNeighbour "other-neighbour" Unsupported
        "The destination is a neighbour on the link, but the flow would be sent to another Ethernet address, since the kernel looked for the route with the mark or device of the reverse direction (`ip rule`); keep such connections out of the flowtable, see Documentation/guide/passed-by.md.",
    KeyInUse "key-in-use" Unsupported
        "Another flow with the same protocol, addresses and ports has an entry, and the engine cannot tell the two apart.",
    BucketFull "bucket-full" NoSpace
        "All slots in which the engine would look for this flow are taken by flows in use; it gets in when the kernel offers it again and one of them is idle or gone.",
    TableFull "table-full" NoSpace
        "All entries but those that policy keeps free (reserve) are in use; it gets in when flows end, or when fewer are kept free.",
    FamilyOff "family-off" Unsupported
        "Flows of this family (IPv4 or IPv6) are switched off by policy; write `ipv4 1` or `ipv6 1` to the file `policy` to have them offloaded.",
    Paused "paused" Unsupported
        "New flows are kept in software as long as the engine is paused; write 0 to the file `pause` to end that.",
    Ended "ended" Unsupported
        "The flow ended before it was its turn, as its way had changed or by the file `flush`; it is offered again with its next packet.",
    EngineDead "engine-dead" Unsupported
        "The engine does not answer and is left alone until it does; see the kernel's log for what happened before.",
}

impl Reject {
    /// Position in [`Reject::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.name() == name)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
