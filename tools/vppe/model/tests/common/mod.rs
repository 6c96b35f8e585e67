// SPDX-License-Identifier: GPL-2.0-only
//! For the tests: a chip with memory and two ports, entries, frames.

#![allow(dead_code, unreachable_pub)] // Each test program uses a part.

use etherparse::PacketBuilder;
use vppe_model::chip::{Chip, CHIPS, MT7986};
use vppe_model::entry::Key;
use vppe_model::{hash, CpuReason, Dma, FrameBuf, FrameEngine, Port, VecMemory, Verdict};

pub const BASE: u64 = 0x4000_0000;
pub const MIB_BASE: u64 = BASE + ENTRIES as u64 * 128;
pub const ENTRIES: u32 = 16384;
pub const LAN: Port = Port::new(1, [0x02, 0, 0, 0, 0x01, 0x01]);
pub const WAN: Port = Port::new(2, [0x02, 0, 0, 0, 0x01, 0x02]);
pub const LAN_HOST: [u8; 6] = [0x02, 0, 0, 0, 0x0a, 0x01];
pub const WAN_HOST: [u8; 6] = [0x02, 0, 0, 0, 0x0a, 0x02];
pub const TO_WAN: Verdict = Verdict::Forward { port: 2 };

/// `TB_CFG` as the facts page has it for MT7986, except that the PPE builds no entries.
pub const TB_CFG: u32 = 4 | 1 << 3 | 2 << 4 | 0xf << 8 | 1 << 7 | 1 << 14 | 1 << 16 | 1 << 20;
pub const TB_CFG_BUILD: u32 = TB_CFG | 3 << 4;

/// Chips that differ for the model: the generations and the special chips.
pub fn each_kind() -> impl Iterator<Item = &'static Chip> {
    let kinds = ["mt7621", "mt7622", "mt7986", "mt7988"];
    CHIPS
        .iter()
        .copied()
        .filter(move |c| kinds.contains(&c.name))
}

/// What the facts page says of a chip. The tests read it independently of the model.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub netsys: u32,
    pub ppe0: u32,
    pub size: u32,
    pub ways: u32,
    pub accounting: bool,
    pub timestamp_mask: u32,
}

pub fn facts(chip: &Chip) -> Facts {
    let (netsys, size, ways, accounting) = match chip.id {
        0x7621 | 0x7623 => (1, 80, 2, false),
        0x7622 => (1, 80, 2, true),
        0x7981 | 0x7986 => (2, 96, 4, true),
        0x7988 => (3, 128, 4, true),
        id => panic!("{id:#x}"),
    };
    Facts {
        netsys,
        ppe0: if netsys == 1 { 0x0c00 } else { 0x2000 },
        size,
        ways,
        accounting,
        timestamp_mask: if netsys == 1 { 0x7fff } else { 0xff },
    }
}

pub struct Lab {
    pub engine: FrameEngine,
    pub memory: VecMemory,
    pub facts: Facts,
    /// Offset of the PPE for `read` and `write`.
    pub ppe: u32,
}

impl Lab {
    /// An MT7986 as a driver leaves it after its start.
    pub fn new() -> Self {
        Self::on(&MT7986)
    }

    /// `TB_CFG` of the chip. The PPE builds no entries.
    pub fn tb_cfg(&self) -> u32 {
        match self.facts.netsys {
            1 => TB_CFG & !(1 << 20),
            2 => TB_CFG,
            _ => TB_CFG & !(1 << 3),
        }
    }

    /// A chip as a driver leaves it after its start.
    pub fn on(chip: &'static Chip) -> Self {
        Self::with(chip, &[LAN, WAN])
    }

    pub fn with(chip: &'static Chip, ports: &[Port]) -> Self {
        let mut lab = Self::bare_with(chip, ports);
        for (reg, value) in [
            (0x220, BASE as u32),
            (0x21c, lab.tb_cfg()),
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
        Self::bare_with(&MT7986, &[LAN, WAN])
    }

    pub fn bare_with(chip: &'static Chip, ports: &[Port]) -> Self {
        let facts = facts(chip);
        Self {
            engine: FrameEngine::new(chip, ports),
            memory: VecMemory::new(BASE, ENTRIES as usize * (128 + 16)),
            facts,
            ppe: facts.ppe0,
        }
    }

    pub fn read(&mut self, reg: u32) -> u32 {
        self.engine.read(&self.memory, self.ppe + reg)
    }

    pub fn write(&mut self, reg: u32, value: u32) {
        self.engine.write(&self.memory, self.ppe + reg, value);
    }

    pub fn clear_cache(&mut self) {
        let value = self.read(0x320);
        self.write(0x320, value | 1 << 9);
        self.write(0x320, value & !(1 << 9));
    }

    pub fn addr(&self, index: u32) -> u64 {
        BASE + u64::from(self.facts.size) * u64::from(index)
    }

    /// Index of the first way of a flow's bucket.
    pub fn bucket(&self, flow: &Flow) -> u32 {
        hash::bucket(&flow.key(), 1, 0, ENTRIES, self.facts.ways)
    }

    pub fn ib1(&self, index: u32) -> u32 {
        self.memory.read_u32(self.addr(index)).unwrap()
    }

    pub fn set_ib1(&self, index: u32, ib1: u32) {
        self.memory.write_u32(self.addr(index), ib1).unwrap();
    }

    /// Writes an entry into memory and does not clear the cache.
    pub fn put(&self, index: u32, flow: &Flow) {
        let bytes = flow.entry_for(self.facts);
        self.memory.write(self.addr(index), &bytes).unwrap();
    }

    /// Binds a flow as a driver does; returns its index.
    pub fn bind(&mut self, flow: &Flow) -> u32 {
        let index = self.bucket(flow);
        self.put(index, flow);
        self.clear_cache();
        index
    }

    pub fn process(&mut self, frame: &[u8]) -> (Verdict, Vec<u8>) {
        self.process_from(LAN.pse, frame)
    }

    pub fn process_from(&mut self, pse: u8, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buf = FrameBuf::from_frame(frame);
        let verdict = self.engine.process(&self.memory, pse, &mut buf);
        (verdict, buf.frame().to_vec())
    }

    /// The frame goes to the CPU unmodified, and the PPE counts this reason.
    #[track_caller]
    pub fn expect_cpu(&mut self, frame: &[u8], reason: CpuReason) -> Option<u32> {
        let before = self.engine.ppes()[0].stats().reasons[reason as usize];
        let (verdict, out) = self.process(frame);
        let Verdict::ToCpu {
            reason: given,
            entry,
        } = verdict
        else {
            panic!("{verdict:?}, not {reason:?}");
        };
        assert_eq!(given, reason);
        assert!(out == frame, "modified");
        let after = self.engine.ppes()[0].stats().reasons[reason as usize];
        assert_eq!(after, before + 1);
        entry
    }

    #[track_caller]
    pub fn expect_forward(&mut self, frame: &[u8]) -> Vec<u8> {
        let (verdict, out) = self.process(frame);
        assert_eq!(verdict, TO_WAN);
        out
    }

    /// This PPE forwards the frame.
    #[track_caller]
    pub fn expect_in(&mut self, ppe: usize, frame: &[u8]) {
        let before = self.engine.ppes()[ppe].stats().forwarded;
        self.expect_forward(frame);
        assert_eq!(self.engine.ppes()[ppe].stats().forwarded, before + 1);
    }

    /// Reads packets and bytes from the MIB by a serial read.
    pub fn mib(&mut self, index: u32) -> (u64, u64) {
        self.write(0x33c, 1 << 16 | index);
        for _ in 0..100 {
            if self.read(0x33c) & 1 << 16 == 0 {
                let [r0, r1, r2, r3] =
                    [0x340, 0x344, 0x348, 0x34c].map(|reg| u64::from(self.read(reg)));
                if self.facts.netsys == 3 {
                    return (r2 | r3 << 32, r0 | r1 << 32);
                }
                return (r1 >> 16 | (r2 & 0xff_ffff) << 16, r0 | (r1 & 0xffff) << 32);
            }
        }
        panic!("MIB stays busy");
    }

    /// Lets the age scan look at the whole table at time `now`.
    pub fn pass(&mut self, now: u32) {
        self.engine.set_time(now);
        self.engine.tick(&self.memory, ENTRIES);
    }
}

/// A flow from the LAN to the WAN: the incoming tuple, and what the entry changes.
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

/// A flow of each family and protocol.
pub fn flows() -> [Flow; 4] {
    [
        Flow::v4(true),
        Flow::v4(false),
        Flow::v6(true),
        Flow::v6(false),
    ]
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

    /// The words of the bound entry on MT7986.
    pub fn entry(&self) -> Vec<u8> {
        self.entry_for(facts(&MT7986))
    }

    /// The information blocks of the bound entry.
    fn info_blocks(&self, facts: Facts) -> (u32, u32) {
        let kind: u32 = match (self.v6, self.route) {
            (true, _) => 5,
            (false, true) => 1,
            (false, false) => 0,
        };
        let pppoe = u32::from(self.pppoe.is_some());
        let vlan_tag = u32::from(self.vlan_tag);
        let (ttl, counted) = (u32::from(self.ttl), u32::from(self.counted));
        let common = 2 << 28 | u32::from(self.udp) << 30 | u32::from(self.is_static) << 31;
        let ib1 = common
            | self.timestamp & facts.timestamp_mask
            | if facts.netsys == 1 {
                self.vlan_layer << 16
                    | pppoe << 19
                    | vlan_tag << 20
                    | 1 << 22
                    | ttl << 24
                    | kind << 25
            } else {
                self.vlan_layer << 14
                    | pppoe << 17
                    | vlan_tag << 18
                    | 1 << 20
                    | ttl << 22
                    | kind << 23
            };
        let ib2 = if facts.netsys == 1 {
            self.pse << 5 | counted << 10 | 0x1f << 18
        } else {
            self.pse << 9 | counted << 15 | 0xf << 20
        };
        (ib1, ib2)
    }

    /// The words of the bound entry, from the bits and byte offsets in the facts.
    pub fn entry_for(&self, facts: Facts) -> Vec<u8> {
        let mut bytes = vec![0; facts.size as usize];
        let mut put = |at: usize, b: &[u8]| bytes[at..at + b.len()].copy_from_slice(b);
        let (ib1, ib2) = self.info_blocks(facts);
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

    /// The flow as it leaves, with its new tuple.
    pub fn translated(&self) -> Self {
        if self.v6 || self.route {
            return self.clone();
        }
        Self {
            src: [self.new_src, 0, 0, 0],
            dst: [self.new_dst, 0, 0, 0],
            sport: self.new_sport,
            dport: self.new_dport,
            ..self.clone()
        }
    }

    /// The frame that leaves for `self.frame(payload)`, without tags.
    pub fn forwarded(&self, payload: &[u8]) -> Vec<u8> {
        let head = [&WAN_HOST[..], &WAN.mac, &self.etype.to_be_bytes()].concat();
        [head, self.translated().packet(63, payload)].concat()
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

    /// A frame of the flow whose TCP header `change` may modify.
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
