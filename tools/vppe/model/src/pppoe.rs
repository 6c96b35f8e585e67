// SPDX-License-Identifier: GPL-2.0-only
//! PPPoE session headers (RFC 2516) with the PPP protocol number behind them.

use etherparse::EtherType;

/// Ethertype of PPPoE sessions.
pub(crate) const ETHERTYPE: EtherType = EtherType(0x8864);
/// Bytes of the header.
pub(crate) const LEN: usize = 8;

/// Version 1, type 1, code 0 (session data).
const SESSION_DATA: [u8; 2] = [0x11, 0x00];
const PPP_IPV4: [u8; 2] = [0x00, 0x21];
const PPP_IPV6: [u8; 2] = [0x00, 0x57];

/// Returns the header of a session, still without a length.
pub(crate) fn header(session: u16, v6: bool) -> [u8; LEN] {
    let [session_hi, session_lo] = session.to_be_bytes();
    let [ppp_hi, ppp_lo] = if v6 { PPP_IPV6 } else { PPP_IPV4 };
    let [version, code] = SESSION_DATA;
    [version, code, session_hi, session_lo, 0, 0, ppp_hi, ppp_lo]
}

/// Puts the length of the IP packet into the last header in `bytes`.
pub(crate) fn set_ip_len(bytes: &mut [u8], ip_len: usize) {
    let at = bytes.len() - 4;
    let payload = (ip_len + 2) as u16;
    bytes[at..at + 2].copy_from_slice(&payload.to_be_bytes());
}

/// Returns the ethertype of the IP packet behind the header at the start of `bytes`.
pub(crate) fn payload(bytes: &[u8]) -> Option<EtherType> {
    let header = bytes.first_chunk::<LEN>()?;
    if header[..2] != SESSION_DATA {
        return None;
    }
    match [header[6], header[7]] {
        PPP_IPV4 => Some(EtherType::IPV4),
        PPP_IPV6 => Some(EtherType::IPV6),
        _ => None,
    }
}
