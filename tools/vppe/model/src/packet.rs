// SPDX-License-Identifier: GPL-2.0-only
//! From a frame to the key of its flow.

use etherparse::{
    EtherType, IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, SingleVlanHeaderSlice, TcpHeaderSlice,
    UdpHeaderSlice,
};

use crate::csum;
use crate::entry::Key;
use crate::pppoe;
use crate::verdict::CpuReason;

/// Number of tags that the PPE looks through.
const MAX_TAGS: usize = 2;

/// A TCP or UDP packet for which the table may have an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    /// The 5-tuple.
    pub(crate) key: Key,
    /// Offset of the IP header in the frame.
    pub(crate) l3: usize,
    /// Offset of the TCP or UDP header in the frame.
    pub(crate) l4: usize,
    /// Offset of the end of the IP packet in the frame.
    pub(crate) end: usize,
    /// TTL or hop limit.
    pub(crate) ttl: u8,
    /// TCP with SYN or RST.
    pub(crate) syn_rst: bool,
    /// TCP with FIN.
    pub(crate) fin: bool,
}

impl Packet {
    /// Length of the IP packet.
    pub(crate) fn ip_len(&self) -> usize {
        self.end - self.l3
    }
}

/// Why the PPE does not look a frame up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The frame is for the CPU.
    Cpu(CpuReason),
    /// The IPv4 header checksum is wrong.
    BadIpChecksum,
    /// The TCP or UDP checksum is wrong.
    BadL4Checksum,
    /// TTL or hop limit is 0.
    TtlZero,
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn words(bytes: [u8; 16]) -> [u32; 4] {
    [
        word(&bytes),
        word(&bytes[4..]),
        word(&bytes[8..]),
        word(&bytes[12..]),
    ]
}

const NO_FLOW: Unfit = Unfit::Cpu(CpuReason::NoFlow);

/// Parses a frame. With `special_tag`, a switch's four bytes stand behind the addresses.
///
/// **Assumption**: multicast frames go to the CPU. IPv4 fragments, IPv4 options and IPv6
/// extension headers go to the CPU whatever `FLOW_CFG` says, and so do frames that end before
/// the IP packet does.
pub(crate) fn parse(frame: &[u8], special_tag: bool) -> Result<Packet, Unfit> {
    let ethertype_at = if special_tag { 16 } else { 12 };
    let head = frame.get(..ethertype_at + 2).ok_or(NO_FLOW)?;
    if head[0] & 1 != 0 {
        return Err(Unfit::Cpu(CpuReason::MulticastToCpu));
    }
    match network_layer(frame, ethertype_at)? {
        (EtherType::IPV4, l3) => parse_v4(frame, l3),
        (EtherType::IPV6, l3) => parse_v6(frame, l3),
        _ => Err(NO_FLOW),
    }
}

/// Returns ethertype and offset of the packet behind tags and PPPoE header.
///
/// **Assumption**: the PPE looks through two 802.1Q or 802.1ad tags and one PPPoE session
/// header.
#[inline]
fn network_layer(frame: &[u8], ethertype_at: usize) -> Result<(EtherType, usize), Unfit> {
    let word = [frame[ethertype_at], frame[ethertype_at + 1]];
    let mut ethertype = EtherType(u16::from_be_bytes(word));
    let mut l3 = ethertype_at + 2;
    for _ in 0..MAX_TAGS {
        if !matches!(
            ethertype,
            EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING
        ) {
            break;
        }
        let tag = SingleVlanHeaderSlice::from_slice(&frame[l3..]).map_err(|_| NO_FLOW)?;
        ethertype = tag.ether_type();
        l3 += 4;
    }
    if ethertype == pppoe::ETHERTYPE {
        ethertype = pppoe::payload(&frame[l3..]).ok_or(NO_FLOW)?;
        l3 += pppoe::LEN;
    }
    Ok((ethertype, l3))
}

fn parse_v4(frame: &[u8], l3: usize) -> Result<Packet, Unfit> {
    let ip = Ipv4HeaderSlice::from_slice(&frame[l3..]).map_err(|_| NO_FLOW)?;
    if !csum::verify(0, ip.slice()) {
        return Err(Unfit::BadIpChecksum);
    }
    if ip.ttl() == 0 {
        return Err(Unfit::TtlZero);
    }
    if ip.ihl() != 5 {
        return Err(Unfit::Cpu(CpuReason::OptionHeader));
    }
    if ip.is_fragmenting_payload() {
        return Err(Unfit::Cpu(CpuReason::Ipv4Frag));
    }
    let end = l3 + usize::from(ip.total_len());
    let l4 = l3 + 20;
    let payload = frame.get(l4..end).ok_or(NO_FLOW)?;
    let mut packet = Packet {
        key: Key {
            v6: false,
            src: [word(&ip.source()), 0, 0, 0],
            dst: [word(&ip.destination()), 0, 0, 0],
            ..Key::default()
        },
        l3,
        l4,
        end,
        ttl: ip.ttl(),
        syn_rst: false,
        fin: false,
    };
    parse_l4(
        &mut packet,
        payload,
        ip.protocol(),
        &frame[l3 + 12..l3 + 20],
    )?;
    Ok(packet)
}

fn parse_v6(frame: &[u8], l3: usize) -> Result<Packet, Unfit> {
    let ip = Ipv6HeaderSlice::from_slice(&frame[l3..]).map_err(|_| NO_FLOW)?;
    if ip.hop_limit() == 0 {
        return Err(Unfit::TtlZero);
    }
    let next = ip.next_header();
    if next.is_ipv6_ext_header_value() {
        return Err(Unfit::Cpu(CpuReason::OptionHeader));
    }
    let l4 = l3 + 40;
    let end = l4 + usize::from(ip.payload_length());
    let payload = frame.get(l4..end).ok_or(NO_FLOW)?;
    let mut packet = Packet {
        key: Key {
            v6: true,
            src: words(ip.source()),
            dst: words(ip.destination()),
            ..Key::default()
        },
        l3,
        l4,
        end,
        ttl: ip.hop_limit(),
        syn_rst: false,
        fin: false,
    };
    parse_l4(&mut packet, payload, next, &frame[l3 + 8..l3 + 40])?;
    Ok(packet)
}

/// Parses the TCP or UDP header in `payload` and verifies the checksum.
fn parse_l4(
    packet: &mut Packet,
    payload: &[u8],
    protocol: IpNumber,
    addresses: &[u8],
) -> Result<(), Unfit> {
    let (source, dest, covered, checked) = match protocol {
        IpNumber::TCP => {
            let tcp = TcpHeaderSlice::from_slice(payload).map_err(|_| NO_FLOW)?;
            packet.syn_rst = tcp.syn() || tcp.rst();
            packet.fin = tcp.fin();
            (tcp.source_port(), tcp.destination_port(), payload, true)
        }
        IpNumber::UDP => {
            let udp = UdpHeaderSlice::from_slice(payload).map_err(|_| NO_FLOW)?;
            packet.key.udp = true;
            let len = usize::from(udp.length());
            if len < 8 {
                return Err(NO_FLOW);
            }
            let covered = payload.get(..len).ok_or(NO_FLOW)?;
            let checked = udp.checksum() != 0;
            if !checked && packet.key.v6 {
                return Err(Unfit::BadL4Checksum);
            }
            (udp.source_port(), udp.destination_port(), covered, checked)
        }
        _ => return Err(NO_FLOW),
    };
    if checked {
        let pseudo = csum::pseudo(addresses, protocol.0, covered.len() as u32);
        if !csum::verify(pseudo, covered) {
            return Err(Unfit::BadL4Checksum);
        }
    }
    packet.key.ports = u32::from(source) << 16 | u32::from(dest);
    Ok(())
}
