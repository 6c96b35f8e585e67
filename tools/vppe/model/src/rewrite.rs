// SPDX-License-Identifier: GPL-2.0-only
//! Rewrites a frame as a bound entry says.

use crate::csum;
use crate::entry::Entry;
use crate::frame::FrameBuf;
use crate::packet::Packet;

/// Rewrites the frame as the entry says.
///
/// **Assumption**: bytes behind the IP packet (padding) do not leave with it.
pub(crate) fn rewrite(entry: &Entry, packet: &Packet, buf: &mut FrameBuf) {
    let frame = buf.frame_mut();
    if !packet.key.v6 {
        rewrite_v4(entry, packet, frame);
    } else if entry.decrement {
        frame[packet.l3 + 7] -= 1;
    }
    buf.truncate(packet.end);
    let (head, len) = entry.head(packet.ip_len());
    buf.replace_head(packet.l3, &head[..len]);
}

/// Rewrites TTL, addresses, ports and checksums of an IPv4 packet.
fn rewrite_v4(entry: &Entry, packet: &Packet, frame: &mut [u8]) {
    let mut diff = 0;
    if entry.decrement {
        let ttl = packet.l3 + 8;
        let old = get(frame, ttl);
        frame[ttl] -= 1;
        diff = u32::from(!old) + u32::from(old - 0x100);
    }
    if let Some((src, dst, ports)) = entry.new {
        let addresses = packet.l3 + 12;
        frame[addresses..addresses + 4].copy_from_slice(&src.to_be_bytes());
        frame[addresses + 4..addresses + 8].copy_from_slice(&dst.to_be_bytes());
        frame[packet.l4..packet.l4 + 4].copy_from_slice(&ports.to_be_bytes());
        diff += entry.address_diff;
        let at = packet.l4 + if packet.key.udp { 6 } else { 16 };
        let check = get(frame, at);
        // A UDP packet without a checksum stays without one.
        if !(packet.key.udp && check == 0) {
            let mut check = csum::update(check, entry.address_diff + entry.port_diff);
            if packet.key.udp && check == 0 {
                check = 0xffff;
            }
            frame[at..at + 2].copy_from_slice(&check.to_be_bytes());
        }
    }
    if diff != 0 {
        let at = packet.l3 + 10;
        let check = csum::update(get(frame, at), diff);
        frame[at..at + 2].copy_from_slice(&check.to_be_bytes());
    }
}

fn get(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}
