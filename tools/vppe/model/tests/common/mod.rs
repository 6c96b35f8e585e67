// SPDX-License-Identifier: GPL-2.0-only
//! A chip with memory and two ports, entries and frames.

#![allow(dead_code, unreachable_pub)] // Each test program uses its part.

use etherparse::PacketBuilder;
use vppe_model::chip::{Chip, MT7986};
use vppe_model::entry::Key;
use vppe_model::{hash, CpuReason, Dma, FrameBuf, FrameEngine, Port, VecMemory, Verdict};

pub const BASE: u64 = 0x4000_0000;
pub const MIB_BASE: u64 = BASE + ENTRIES as u64 * 96;
pub const ENTRIES: u32 = 16384;
pub const PPE0: u32 = 0x2000;
pub const LAN: Port = Port {
    pse: 1,
    mac: [0x02, 0, 0, 0, 0x01, 0x01],
};
pub const WAN: Port = Port {
    pse: 2,
    mac: [0x02, 0, 0, 0, 0x01, 0x02],
};
pub const LAN_HOST: [u8; 6] = [0x02, 0, 0, 0, 0x0a, 0x01];
pub const WAN_HOST: [u8; 6] = [0x02, 0, 0, 0, 0x0a, 0x02];
pub const TO_WAN: Verdict = Verdict::Forward { port: 2 };

/// The programmed values of the facts page, except that nothing is built on a miss.
pub const TB_CFG: u32 = 4 | 1 << 3 | 2 << 4 | 0xf << 8 | 1 << 7 | 1 << 14 | 1 << 16 | 1 << 20;
pub const TB_CFG_BUILD: u32 = TB_CFG | 3 << 4;

pub struct Lab {
    pub engine: FrameEngine,
    pub memory: VecMemory,
}

impl Lab {
    /// An MT7986 as a driver leaves it after its start.
    pub fn new() -> Self {
        Self::on(&MT7986)
    }

    /// A chip as a driver leaves it after its start.
    pub fn on(chip: &'static Chip) -> Self {
        let mut lab = Self::bare();
        lab.engine = FrameEngine::new(chip, &[LAN, WAN]);
        for (reg, value) in [
            (0x220, BASE as u32),
            (0x21c, TB_CFG),
            (0x204, 1 << 9 | 1 << 12 | 1 << 13),
            (0x238, 1000 << 16 | 3),
            (0x23c, 1 << 16 | 12),
            (0x240, 1 << 16 | 7),
            (0x228, 1 << 16 | 30),
            (0x30c, 1514 | 1518 << 16),
            (0x310, 1522 | 1526 << 16),
            (0x334, 3),
            (0x338, MIB_BASE as u32),
            (0x320, 1),
            (0x200, 1),
        ] {
            lab.write(reg, value);
        }
        lab
    }

    /// A chip after power-up.
    pub fn bare() -> Self {
        Self {
            engine: FrameEngine::new(&MT7986, &[LAN, WAN]),
            memory: VecMemory::new(BASE, ENTRIES as usize * (96 + 16)),
        }
    }

    pub fn read(&mut self, reg: u32) -> u32 {
        self.engine.read(&self.memory, PPE0 + reg)
    }

    pub fn write(&mut self, reg: u32, value: u32) {
        self.engine.write(&self.memory, PPE0 + reg, value);
    }

    pub fn clear_cache(&mut self) {
        let value = self.read(0x320);
        self.write(0x320, value | 1 << 9);
        self.write(0x320, value & !(1 << 9));
    }

    pub fn addr(index: u32) -> u64 {
        BASE + 96 * u64::from(index)
    }

    pub fn ib1(&self, index: u32) -> u32 {
        self.memory.read_u32(Self::addr(index)).unwrap()
    }

    pub fn set_ib1(&self, index: u32, ib1: u32) {
        self.memory.write_u32(Self::addr(index), ib1).unwrap();
    }

    /// Writes an entry into memory, nothing more.
    pub fn put(&self, index: u32, flow: &Flow) {
        self.memory.write(Self::addr(index), &flow.entry()).unwrap();
    }

    /// Binds a flow as a driver does; gives its index.
    pub fn bind(&mut self, flow: &Flow) -> u32 {
        let index = flow.bucket();
        self.put(index, flow);
        self.clear_cache();
        index
    }

    pub fn process(&mut self, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buf = FrameBuf::from_frame(frame);
        let verdict = self.engine.process(&self.memory, LAN.pse, &mut buf);
        (verdict, buf.frame().to_vec())
    }

    /// The frame goes to the CPU, as it is, and counts under this reason.
    #[track_caller]
    pub fn expect_cpu(&mut self, frame: &[u8], reason: CpuReason) {
        let before = self.engine.ppes()[0].stats().reasons[reason as usize];
        let (verdict, out) = self.process(frame);
        assert_eq!(verdict, Verdict::ToCpu { reason });
        assert!(out == frame, "modified");
        let after = self.engine.ppes()[0].stats().reasons[reason as usize];
        assert_eq!(after, before + 1);
    }

    #[track_caller]
    pub fn expect_forward(&mut self, frame: &[u8]) -> Vec<u8> {
        let (verdict, out) = self.process(frame);
        assert_eq!(verdict, TO_WAN);
        out
    }

    /// A serial read of the MIB: packets and bytes.
    pub fn mib(&mut self, index: u32) -> (u64, u64) {
        self.write(0x33c, 1 << 16 | index);
        for _ in 0..100 {
            if self.read(0x33c) & 1 << 16 == 0 {
                let [r0, r1, r2] = [0x340, 0x344, 0x348].map(|reg| u64::from(self.read(reg)));
                return (r1 >> 16 | (r2 & 0xff_ffff) << 16, r0 | (r1 & 0xffff) << 32);
            }
        }
        panic!("MIB stays busy");
    }

    /// Lets the age scan see the whole table at time `now`.
    pub fn pass(&mut self, now: u32) {
        self.engine.set_time(now);
        self.engine.tick(&self.memory, ENTRIES);
    }
}

/// A flow from the LAN to the WAN: what comes in, and what an entry makes of it.
#[derive(Debug, Clone)]
pub struct Flow {
    pub v6: bool,
    pub udp: bool,
    /// IPv4 routed (type 1), not translated.
    pub route: bool,
    pub src: [u32; 4],
    pub dst: [u32; 4],
    pub sport: u16,
    pub dport: u16,
    pub new_src: u32,
    pub new_dst: u32,
    pub new_sport: u16,
    pub new_dport: u16,
    pub ttl: bool,
    pub counted: bool,
    pub pse: u32,
    pub etype: u16,
    pub vlan_layer: u32,
    pub vlan_tag: bool,
    pub vlan1: u16,
    pub vlan2: u16,
    pub pppoe: Option<u16>,
    pub timestamp: u32,
    pub is_static: bool,
}

impl Flow {
    pub fn v4(udp: bool) -> Self {
        Self {
            v6: false,
            udp,
            route: false,
            src: [0xc0a8_010a, 0, 0, 0],
            dst: [0xcb00_7105, 0, 0, 0],
            sport: 40000,
            dport: 5201,
            new_src: 0xc633_6401,
            new_dst: 0xcb00_7105,
            new_sport: 61000,
            new_dport: 5201,
            ttl: true,
            counted: true,
            pse: 2,
            etype: 0x0800,
            vlan_layer: 0,
            vlan_tag: false,
            vlan1: 0,
            vlan2: 0,
            pppoe: None,
            timestamp: 0,
            is_static: false,
        }
    }

    pub fn v6(udp: bool) -> Self {
        Self {
            v6: true,
            src: [0xfd00_0001, 0x11, 0x22, 0x0a],
            dst: [0xfd00_0002, 0x33, 0x44, 0x05],
            etype: 0x86dd,
            ..Self::v4(udp)
        }
    }

    pub fn key(&self) -> Key {
        Key {
            v6: self.v6,
            udp: self.udp,
            ports: u32::from(self.sport) << 16 | u32::from(self.dport),
            src: self.src,
            dst: self.dst,
        }
    }

    pub fn bucket(&self) -> u32 {
        hash::bucket(&self.key(), 1, 0, ENTRIES, 4)
    }

    /// The words of the bound entry, from the table of byte offsets in the facts.
    pub fn entry(&self) -> [u8; 96] {
        let mut bytes = [0; 96];
        let mut put = |at: usize, b: &[u8]| bytes[at..at + b.len()].copy_from_slice(b);
        let kind: u32 = match (self.v6, self.route) {
            (true, _) => 5,
            (false, true) => 1,
            (false, false) => 0,
        };
        let ib1 = self.timestamp & 0xff
            | self.vlan_layer << 14
            | u32::from(self.pppoe.is_some()) << 17
            | u32::from(self.vlan_tag) << 18
            | 1 << 20
            | u32::from(self.ttl) << 22
            | kind << 23
            | 2 << 28
            | u32::from(self.udp) << 30
            | u32::from(self.is_static) << 31;
        let ib2 = self.pse << 9 | u32::from(self.counted) << 15 | 0xf << 20;
        put(0x00, &ib1.to_le_bytes());
        let l2 = if self.v6 {
            for i in 0..4 {
                put(0x04 + 4 * i, &self.src[i].to_le_bytes());
                put(0x14 + 4 * i, &self.dst[i].to_le_bytes());
            }
            put(0x24, &self.dport.to_le_bytes());
            put(0x26, &self.sport.to_le_bytes());
            put(0x38, &ib2.to_le_bytes());
            0x3c
        } else {
            put(0x04, &self.src[0].to_le_bytes());
            put(0x08, &self.dst[0].to_le_bytes());
            put(0x0c, &self.dport.to_le_bytes());
            put(0x0e, &self.sport.to_le_bytes());
            put(0x10, &ib2.to_le_bytes());
            if !self.route {
                put(0x14, &self.new_src.to_le_bytes());
                put(0x18, &self.new_dst.to_le_bytes());
                put(0x1c, &self.new_dport.to_le_bytes());
                put(0x1e, &self.new_sport.to_le_bytes());
            }
            0x2c
        };
        let hi = |m: [u8; 6]| u32::from_be_bytes([m[0], m[1], m[2], m[3]]).to_le_bytes();
        let lo = |m: [u8; 6]| u16::from_be_bytes([m[4], m[5]]).to_le_bytes();
        put(l2, &self.vlan1.to_le_bytes());
        put(l2 + 0x02, &self.etype.to_le_bytes());
        put(l2 + 0x04, &hi(WAN_HOST));
        put(l2 + 0x08, &self.vlan2.to_le_bytes());
        put(l2 + 0x0a, &lo(WAN_HOST));
        put(l2 + 0x0c, &hi(WAN.mac));
        put(l2 + 0x10, &self.pppoe.unwrap_or(0).to_le_bytes());
        put(l2 + 0x12, &lo(WAN.mac));
        bytes
    }

    /// A packet of the flow, without layer 2.
    pub fn packet(&self, ttl: u8, payload: &[u8]) -> Vec<u8> {
        self.frame_with(ttl, payload)[14..].to_vec()
    }

    /// A frame of the flow.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        self.frame_with(64, payload)
    }

    pub fn frame_with(&self, ttl: u8, payload: &[u8]) -> Vec<u8> {
        self.frame_tcp(ttl, payload, |tcp| tcp.ack = true)
    }

    /// A frame of the flow, with a TCP header to one's liking.
    pub fn frame_tcp(
        &self,
        ttl: u8,
        payload: &[u8],
        change: impl FnOnce(&mut etherparse::TcpHeader),
    ) -> Vec<u8> {
        let eth = PacketBuilder::ethernet2(LAN_HOST, LAN.mac);
        let ip = if self.v6 {
            eth.ipv6(v6_bytes(self.src), v6_bytes(self.dst), ttl)
        } else {
            eth.ipv4(self.src[0].to_be_bytes(), self.dst[0].to_be_bytes(), ttl)
        };
        let mut bytes = Vec::new();
        if self.udp {
            let udp = ip.udp(self.sport, self.dport);
            udp.write(&mut bytes, payload).unwrap();
        } else {
            let mut header = etherparse::TcpHeader::new(self.sport, self.dport, 7, 1000);
            change(&mut header);
            let tcp = ip.tcp_header(header);
            tcp.write(&mut bytes, payload).unwrap();
        }
        bytes
    }
}

pub fn v6_bytes(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.chunks_mut(4).zip(words) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    bytes
}
