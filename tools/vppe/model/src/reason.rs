// SPDX-License-Identifier: GPL-2.0-only
//! Why a frame goes to the CPU.

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $number:expr, $name:literal;)*) => {
        /// Why a frame goes to the CPU.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CpuReason {
            $($(#[$doc])* $variant,)*
        }

        impl CpuReason {
            /// All reasons.
            pub const ALL: &'static [CpuReason] = &[$(CpuReason::$variant),*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The chip's number; `None` for a reason of the model's own.
            pub const fn number(self) -> Option<u8> {
                match self { $(CpuReason::$variant => $number,)* }
            }

            /// The name, in capitals, as in the statistics.
            pub const fn name(self) -> &'static str {
                match self { $(CpuReason::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// TTL or hop limit 0.
    TtlExceeded = Some(0x02), "TTL_EXCEEDED";
    /// IPv4 options or IPv6 extension headers.
    OptionHeader = Some(0x03), "OPTION_HEADER";
    /// Nothing the table could have a flow for: not IP, neither TCP nor UDP, cut short,
    /// or a family that `FLOW_CFG` does not enable.
    NoFlow = Some(0x07), "NO_FLOW";
    /// A fragment of an IPv4 packet.
    Ipv4Frag = Some(0x08), "IPV4_FRAG";
    /// TCP with SYN or RST; or with FIN, and no bound entry.
    TcpFinSynRst = Some(0x0c), "TCP_FIN_SYN_RST";
    /// No entry for the flow.
    UnHit = Some(0x0d), "UN_HIT";
    /// An entry that is not bound.
    HitUnbind = Some(0x0e), "HIT_UNBIND";
    /// An entry that is not bound, and the flow is fast enough to be.
    HitUnbindRateReached = Some(0x0f), "HIT_UNBIND_RATE_REACHED";
    /// TCP with FIN, and a bound entry.
    HitBindTcpFin = Some(0x10), "HIT_BIND_TCP_FIN";
    /// TTL or hop limit 1, and a bound entry that would decrement it.
    HitTtl1 = Some(0x11), "HIT_TTL_1";
    /// A bound entry whose PSE port is the CPU's, or none of this board.
    HitBindForceCpu = Some(0x16), "HIT_BIND_FORCE_CPU";
    /// Multicast or broadcast destination address.
    MulticastToCpu = Some(0x18), "MULTICAST_TO_CPU";
    /// The frame that would leave is larger than `VLAN_MTU0`/`VLAN_MTU1` allow.
    ExceedMtu = Some(0x1c), "EXCEED_MTU";
    /// The engine is off, or the port's GDM gives it no such frames.
    PpeBypass = Some(0x1e), "PPE_BYPASS";
    /// Wrong IPv4 header or TCP/UDP checksum, and the bits that drop such frames are off.
    BadChecksum = None, "BAD_CHECKSUM";
    /// The table could not be read.
    TableError = None, "TABLE_ERROR";
}
