// SPDX-License-Identifier: GPL-2.0-only
//! The engine's model: any register, any bytes in the table, any frame, at any time. It has
//! to stay alive, and what it sends out has to be a frame that came in.

use nft_offload_ppe::flow::Tuple;
use vppe_model::{
    chip::CHIPS,
    entry::{self, Key},
    hash, Dma, FrameBuf, FrameEngine, Port, VecMemory, Verdict,
};

use crate::{bytes::Bytes, rules};

const BASE: u64 = 0x4000_0000;
/// A table of 1024 entries of the longest kind, and a MIB.
const MIB: u64 = 128 * 1024;
const LEN: u64 = MIB + 16 * 1024;

/// What is behind the Ethernet address: a packet that an entry can be for.
fn packet(bytes: &mut Bytes<'_>) -> (Key, Vec<u8>) {
    let tuple = rules::tuple(bytes);
    let (sport, dport) = tuple.ports();
    let udp = bytes.bool();
    let mut key = Key {
        v6: tuple.is_v6(),
        udp,
        src: [0; 4],
        dst: [0; 4],
        ports: u32::from(sport) << 16 | u32::from(dport),
    };
    let l4_len: u16 = if udp { 8 } else { 20 };
    let ttl = bytes.u8();
    let mut out = Vec::new();
    match tuple {
        Tuple::V4 { src, dst, .. } => {
            key.src[0] = u32::from_be_bytes(src);
            key.dst[0] = u32::from_be_bytes(dst);
            out.extend([0x08, 0, 0x45, 0]);
            out.extend((20 + l4_len).to_be_bytes());
            out.extend([0, 0, 0, 0, ttl, if udp { 17 } else { 6 }, 0, 0]);
            out.extend(src);
            out.extend(dst);
            let sum: u32 = out[2..22]
                .chunks(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            out[12..14].copy_from_slice(&sum.to_be_bytes());
        }
        Tuple::V6 { src, dst, .. } => {
            for (word, piece) in key.src.iter_mut().zip(src.chunks(4)) {
                *word = u32::from_be_bytes(piece.try_into().expect("four"));
            }
            for (word, piece) in key.dst.iter_mut().zip(dst.chunks(4)) {
                *word = u32::from_be_bytes(piece.try_into().expect("four"));
            }
            out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend(l4_len.to_be_bytes());
            out.extend([if udp { 17 } else { 6 }, ttl]);
            out.extend(src);
            out.extend(dst);
        }
    }
    out.extend(sport.to_be_bytes());
    out.extend(dport.to_be_bytes());
    if udp {
        out.extend([0, 8, 0, 0]);
    } else {
        out.extend(bytes.array::<8>());
        out.extend([0x50, bytes.mostly(0x10, Bytes::u8)]);
        out.extend(bytes.array::<6>());
    }
    (key, out)
}

/// The target.
pub fn run(data: &[u8]) {
    let bytes = &mut Bytes(data);
    let chip = CHIPS[usize::from(bytes.u8()) % CHIPS.len()];
    let ports = [
        Port::new(1, [2, 0, 0, 0, 1, 1]),
        Port {
            special_tag: bytes.bool(),
            ..Port::new(2, [2, 0, 0, 0, 1, 2])
        },
    ];
    let mut engine = FrameEngine::new(chip, &ports);
    let memory = VecMemory::new(BASE, LEN as usize);
    let ppe = chip.ppe_bases[0];
    // As a driver leaves it, but for the number of entries.
    let tb_cfg = 2 << 4 | 0xf << 8 | 1 << 14 | 1 << 16;
    let start = [
        (0x220, BASE as u32),
        (0x21c, tb_cfg),
        (0x204, 1 << 9 | 1 << 12 | 1 << 13),
        (0x228, 1 << 16 | 30),
        (0x30c, 1514 | 1518 << 16),
        (0x310, 1522 | 1526 << 16),
        (0x334, 3),
        (0x338, (BASE + MIB) as u32),
        (0x320, 1),
        (0x200, 1),
    ];
    if bytes.mostly(true, Bytes::bool) {
        for (reg, value) in start {
            engine.write(&memory, ppe + reg, value);
        }
    }
    let mut buf = FrameBuf::new();
    while !bytes.is_empty() {
        match bytes.below(12) {
            0 => {
                let block = u32::from(bytes.below(chip.ppe_bases.len() as u8));
                let reg = chip.ppe_bases[block as usize] + 0x200 + 4 * u32::from(bytes.below(0x80));
                engine.write(&memory, reg, bytes.u32());
            }
            1 => {
                let reg = bytes.mostly(ppe, Bytes::u32);
                engine.write(&memory, reg.wrapping_add(bytes.u16().into()), bytes.u32());
            }
            2 => {
                let reg = bytes.mostly(ppe, Bytes::u32);
                let _ = engine.read(&memory, reg.wrapping_add(bytes.u16().into()));
            }
            3 => {
                let at = BASE + u64::from(bytes.u32()) % LEN;
                let _ = memory.write(at, bytes.take(128));
            }
            // A frame of any bytes.
            4 => {
                let frame = bytes.take(200).to_vec();
                process(&mut engine, &memory, 1 + bytes.below(3), &frame, &mut buf);
            }
            // An entry for a packet, of which some words are any, and that packet.
            5..=7 => {
                let (key, packet) = packet(bytes);
                let size = (chip.entry_size)(false, false);
                let first = hash::bucket(&key, 1, 0, 1024, chip.ways);
                let at = BASE + u64::from(size) * u64::from(first);
                let (words, len) = entry::key_words(&key);
                let kind = if key.v6 {
                    entry::TYPE_IPV6_5T
                } else {
                    entry::TYPE_IPV4_HNAPT
                };
                let ib1 = entry::IB1_STATE.set(bytes.u32(), entry::STATE_BIND);
                let ib1 = entry::IB1_UDP.set(ib1, key.udp.into());
                let ib1 = chip
                    .layout
                    .ib1_type
                    .set(ib1, bytes.mostly(kind, Bytes::u32));
                let _ = memory.write(at, &ib1.to_le_bytes());
                let _ = memory.write(at + 4, &words[4..len]);
                let rest = at + len as u64;
                let _ = memory.write(rest, bytes.take(128 - len));
                let control = engine.read(&memory, ppe + 0x320);
                engine.write(&memory, ppe + 0x320, control & !(1 << 9));
                engine.write(&memory, ppe + 0x320, control | 1 << 9);
                let mut frame = ports[0].mac.to_vec();
                frame.extend([2, 0, 0, 0, 9, 9]);
                frame.extend(packet);
                process(&mut engine, &memory, 1 + bytes.below(2), &frame, &mut buf);
            }
            8 => engine.tick(&memory, bytes.u16().into()),
            9 => engine.set_time(bytes.u32()),
            10 => {
                let faults = &mut engine.faults;
                let names = vppe_model::Faults::NAMES;
                let name = names[usize::from(bytes.u8()) % names.len()];
                faults.set(name, bytes.mostly(false, Bytes::bool), bytes.u32());
            }
            _ => match bytes.below(4) {
                0 => engine.reset(),
                1 => {
                    let (index, packets, count) = (bytes.u32(), bytes.u64(), bytes.u64());
                    engine.ppes_mut()[0].add_mib(index, packets, count);
                }
                2 => engine.ppes_mut()[0].set_mib_busy_reads(bytes.below(4).into()),
                _ => {
                    for view in engine.ppes()[0].entries(&memory).iter().take(16) {
                        let _ = view.entry.head(1500);
                    }
                    let _ = engine.ppes()[0].count(&memory);
                }
            },
        }
    }
}

fn process(
    engine: &mut FrameEngine,
    memory: &VecMemory,
    ingress: u8,
    frame: &[u8],
    buf: &mut FrameBuf,
) {
    buf.set(frame);
    match engine.process(memory, ingress, buf) {
        Verdict::Forward { .. } => {
            // Tags and the header of PPPoE come and go, no more than that.
            let out = buf.frame().len();
            assert!(out >= 14 + 20 && out <= frame.len() + 16);
        }
        Verdict::ToCpu { .. } => assert_eq!(buf.frame(), frame, "for the CPU, and changed"),
        Verdict::Drop => (),
    }
}
