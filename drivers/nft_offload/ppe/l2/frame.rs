// SPDX-License-Identifier: GPL-2.0-only

//! From the packet of a frame to what an engine finds its entry by.

use super::super::{
    flow::{
        Tuple,
        L4, //
    },
    flow_rule::{
        ETH_P_IP,
        ETH_P_IPV6,
        TCP_FIN_SYN_RST, //
    }, //
};

/// IPv4, header of 20 bytes: no options.
const IPV4_VERSION_IHL: u8 = 0x45;
/// More fragments, and the offset of a fragment, in bytes 6 and 7 of an IPv4 header.
const IPV4_FRAGMENT: u16 = 0x3fff;

/// Bytes from the IP header on that [`parse`] looks at: an IPv6 header and a TCP header up
/// to its flags.
pub const HEAD_LEN: usize = 40 + 14;

/// The connection of a packet, of which `l3` is the begin, from the IP header on.
///
/// `None` if it is one that the engine leaves to the CPU whatever its entries say:
/// neither TCP nor UDP, a fragment, with IP options or extension headers, to a group, or a
/// TCP segment with FIN, SYN or RST.
pub fn parse(ethertype: u16, l3: &[u8]) -> Option<(L4, Tuple)> {
    match ethertype {
        ETH_P_IP => {
            let (ip, rest) = l3.split_first_chunk::<20>()?;
            let [version_ihl, _, _, _, _, _, f0, f1, _, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
                *ip;
            if version_ihl != IPV4_VERSION_IHL || u16::from_be_bytes([f0, f1]) & IPV4_FRAGMENT != 0
            {
                return None;
            }
            let l4 = L4::from_ip_proto(proto)?;
            let (sport, dport) = ports(l4, rest)?;
            let tuple = Tuple::V4 {
                src: [s0, s1, s2, s3],
                dst: [d0, d1, d2, d3],
                sport,
                dport,
            };
            (!tuple.is_multicast()).then_some((l4, tuple))
        }
        ETH_P_IPV6 => {
            let (fixed, rest) = l3.split_first_chunk::<8>()?;
            let (src, rest) = rest.split_first_chunk::<16>()?;
            let (dst, rest) = rest.split_first_chunk::<16>()?;
            let [version, _, _, _, _, _, next, _] = *fixed;
            if version >> 4 != 6 {
                return None;
            }
            let l4 = L4::from_ip_proto(next)?;
            let (sport, dport) = ports(l4, rest)?;
            let tuple = Tuple::V6 {
                src: *src,
                dst: *dst,
                sport,
                dport,
            };
            (!tuple.is_multicast()).then_some((l4, tuple))
        }
        _ => None,
    }
}

/// The ports of a packet of which `header` is the begin, from the transport header on.
fn ports(l4: L4, header: &[u8]) -> Option<(u16, u16)> {
    if l4 == L4::Tcp && u16::from(*header.get(13)?) & TCP_FIN_SYN_RST != 0 {
        return None;
    }
    let ([a, b, c, d], _) = header.split_first_chunk::<4>()?;
    Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
}
