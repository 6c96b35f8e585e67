// SPDX-License-Identifier: GPL-2.0-only
//! What the engine decides about a frame.

/// Number of a port of the packet switch engine (PSE).
pub type PsePort = u8;

/// What the engine decided about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The PPE rewrote the frame; it leaves through this PSE port.
    Forward {
        /// The PSE port that the entry names.
        port: PsePort,
    },
    /// The frame goes to the CPU, unmodified.
    ToCpu {
        /// Why.
        reason: CpuReason,
        /// Index of the entry that the PPE found or built, as in the receive descriptor.
        entry: Option<u32>,
    },
    /// The engine discards the frame.
    Drop,
}

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

            /// Number of reasons.
            pub const COUNT: usize = Self::ALL.len();

            /// The chip's number; `None` for a reason that only the model has.
            pub const fn number(self) -> Option<u8> {
                match self { $(CpuReason::$variant => $number,)* }
            }

            /// The name in the statistics.
            pub const fn name(self) -> &'static str {
                match self { $(CpuReason::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// TTL or hop limit is 0.
    TtlExceeded = Some(0x02), "TTL_EXCEEDED";
    /// IPv4 options or IPv6 extension headers.
    OptionHeader = Some(0x03), "OPTION_HEADER";
    /// The table cannot hold such a flow: not IP, neither TCP nor UDP, cut short, or of a
    /// family that `FLOW_CFG` does not enable.
    NoFlow = Some(0x07), "NO_FLOW";
    /// A fragment of an IPv4 packet.
    Ipv4Frag = Some(0x08), "IPV4_FRAG";
    /// TCP with SYN or RST, or with FIN and without a bound entry.
    TcpFinSynRst = Some(0x0c), "TCP_FIN_SYN_RST";
    /// The table has no entry for the flow.
    UnHit = Some(0x0d), "UN_HIT";
    /// The flow's entry is not bound.
    HitUnbind = Some(0x0e), "HIT_UNBIND";
    /// The flow's entry is not bound, and the flow exceeds `BIND_RATE`.
    HitUnbindRateReached = Some(0x0f), "HIT_UNBIND_RATE_REACHED";
    /// TCP with FIN; the flow's entry is bound.
    HitBindTcpFin = Some(0x10), "HIT_BIND_TCP_FIN";
    /// TTL or hop limit is 1, and the bound entry decrements it.
    HitTtl1 = Some(0x11), "HIT_TTL_1";
    /// The bound entry names the CPU's PSE port, or one that the board lacks.
    HitBindForceCpu = Some(0x16), "HIT_BIND_FORCE_CPU";
    /// The destination address is multicast or broadcast.
    MulticastToCpu = Some(0x18), "MULTICAST_TO_CPU";
    /// The rewritten frame would exceed `VLAN_MTU0` or `VLAN_MTU1`.
    ExceedMtu = Some(0x1c), "EXCEED_MTU";
    /// The PPE is off, or the port's GDM does not send it such frames.
    PpeBypass = Some(0x1e), "PPE_BYPASS";
    /// The IPv4 header or TCP/UDP checksum is wrong, and `GLO_CFG` does not drop such frames.
    BadChecksum = None, "BAD_CHECKSUM";
    /// The PPE could not read the table.
    TableError = None, "TABLE_ERROR";
}
