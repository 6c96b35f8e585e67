// SPDX-License-Identifier: GPL-2.0-only
//! The program, a guest's driver and frames.

#![allow(unreachable_pub)] // The test program uses all of it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use serde_json::{json, Value};
use tempfile::TempDir;
use vfio_user::Client;
use vppe::board::{Board, MAGIC, VERSION};
use vppe::control::Control;
use vppe::core::Shared;
use vppe::datapath::{self, Datapath};
use vppe::device::Device;
use vppe::port::{PortCounters, PortInfo};
use vppe::tap::Tap;
use vppe_model::chip::{Chip, MT7986};
use vppe_model::entry::Key;
use vppe_model::{hash, FrameEngine, Port};

pub const BAR0: u32 = 0;
pub const BAR2: u32 = 2;
pub const CONFIG: u32 = 7;
pub const BASE: u64 = 0x10_0000;
pub const CPU_QUEUE: usize = 16;
pub const PORTS: [Port; 2] = [
    Port::new(1, [2, 0, 0, 0, 1, 1]),
    Port::new(2, [2, 0, 0, 0, 1, 2]),
];

/// The program with datagram sockets in place of TAP interfaces.
pub struct Program {
    chip: &'static Chip,
    dir: TempDir,
    pub wires: Vec<UnixDatagram>,
    stop: UnixStream,
    datapath: Option<JoinHandle<()>>,
}

impl Program {
    pub fn start() -> Self {
        Self::on(&MT7986)
    }

    pub fn on(chip: &'static Chip) -> Self {
        Self::with(chip, false)
    }

    pub fn with(chip: &'static Chip, rx_words: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let shared = Arc::new(Shared::new(FrameEngine::new(chip, &PORTS)));
        let board = Board {
            magic: MAGIC,
            version: VERSION,
            chip: chip.id,
            rx_words,
            ports: PORTS.to_vec(),
        };
        let device = Device::new(Arc::clone(&shared), board.bytes());
        let listener = UnixListener::bind(at("vfio")).unwrap();
        thread::spawn(move || device.serve(listener));

        let infos: Vec<PortInfo> = ["lan", "wan"]
            .iter()
            .zip(PORTS)
            .map(|(name, port)| PortInfo {
                name: (*name).to_owned(),
                pse: port.pse,
                mac: port.mac,
                counters: PortCounters::default(),
            })
            .collect();
        let infos = Arc::new(infos);
        let control = Control::new(Arc::clone(&shared), Arc::clone(&infos));
        let listener = UnixListener::bind(at("control")).unwrap();
        thread::spawn(move || control.serve(listener));

        let mut wires = Vec::new();
        let mut ports = Vec::new();
        for name in ["lan", "wan"] {
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            theirs.set_nonblocking(true).unwrap();
            ours.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            wires.push(ours);
            ports.push(datapath::Port {
                tap: Tap::from(OwnedFd::from(theirs)),
                listener: UnixListener::bind(at(name)).unwrap(),
            });
        }
        let (stop, stopped) = UnixStream::pair().unwrap();
        let datapath = Datapath::new(shared, infos, ports, stopped, CPU_QUEUE, rx_words).unwrap();
        let datapath = thread::spawn(move || datapath.run().unwrap());
        Self {
            chip,
            dir,
            wires,
            stop,
            datapath: Some(datapath),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn ask(&self, request: &Value) -> Value {
        let mut stream = UnixStream::connect(self.path("control")).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.matches('\n').count(), 1, "one line");
        serde_json::from_str(&answer).unwrap()
    }

    pub fn stats(&self) -> Value {
        self.ask(&json!({"cmd": "stats"}))
    }

    /// Waits until the statistics satisfy a condition.
    #[track_caller]
    pub fn wait(&self, condition: impl Fn(&Value) -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !condition(&self.stats()) {
            assert!(Instant::now() < end, "{:#}", self.stats());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn nic(&self, name: &str) -> UnixStream {
        let nic = UnixStream::connect(self.path(name)).unwrap();
        nic.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        nic
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop.write_all(&[1]).unwrap();
        if let Some(datapath) = self.datapath.take() {
            let ended = datapath.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

/// What the facts page says of a generation.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    /// Offset of the first PPE's registers.
    block: u64,
    /// Bytes of an entry.
    size: u64,
    /// `TB_CFG` bits for that size.
    tb_cfg: u32,
    /// Lowest bits of output port, of `MIB_CNT` and of `TTL`.
    shifts: [u32; 3],
}

fn generation(chip: &Chip) -> Generation {
    let (block, size, tb_cfg) = match chip.id {
        0x7621 | 0x7622 => (0x0c00, 80, 1 << 3),
        0x7986 => (0x2000, 96, 1 << 3 | 1 << 20),
        0x7988 => (0x2000, 128, 1 << 20),
        id => panic!("{id:#x}"),
    };
    Generation {
        block,
        size,
        tb_cfg,
        shifts: if size == 80 { [5, 10, 24] } else { [9, 15, 22] },
    }
}

/// A guest's driver.
pub struct Driver {
    pub client: Client,
    memory: File,
    ways: u32,
    of: Generation,
}

impl Driver {
    /// Starts the chip as a guest's driver does.
    pub fn start(program: &Program) -> Self {
        let of = generation(program.chip);
        let memory = tempfile::tempfile().unwrap();
        let table = 16384 * of.size;
        memory.set_len(table).unwrap();
        let mut client = Client::new(&program.path("vfio")).unwrap();
        client.dma_map(0, BASE, table, memory.as_raw_fd()).unwrap();
        let mut this = Self {
            client,
            memory,
            ways: program.chip.ways,
            of,
        };
        this.config_write(4, &6u16.to_le_bytes());
        for (reg, value) in [
            (0x220, BASE as u32),
            (0x21c, this.tb_cfg(2)),
            (0x204, 1 << 13),
            (0x320, 1),
            (0x334, 3),
            (0x200, 1),
        ] {
            this.write(reg, value);
        }
        this
    }

    /// `TB_CFG` with this search-miss action.
    pub fn tb_cfg(&self, search_miss: u32) -> u32 {
        4 | search_miss << 4 | 1 << 14 | self.of.tb_cfg
    }

    /// The state word of an entry.
    pub fn ib1(&self, index: u64) -> u32 {
        let mut word = [0; 4];
        let at = index * self.of.size;
        self.memory.read_exact_at(&mut word, at).unwrap();
        u32::from_le_bytes(word)
    }

    pub fn config_write(&mut self, at: u64, data: &[u8]) {
        self.client.region_write(CONFIG, at, data).unwrap();
    }

    pub fn read(&mut self, region: u32, at: u64) -> u32 {
        let mut word = [0; 4];
        self.client.region_read(region, at, &mut word).unwrap();
        u32::from_le_bytes(word)
    }

    pub fn write(&mut self, reg: u64, value: u32) {
        self.client
            .region_write(BAR0, self.of.block + reg, &value.to_le_bytes())
            .unwrap();
    }

    pub fn clear_cache(&mut self) {
        self.write(0x320, 1 | 1 << 9);
        self.write(0x320, 1);
    }

    /// Binds 10.0.0.1:1000 to 10.0.0.2:2000 (UDP), source translated to 10.0.9.9:9000; returns
    /// the index of the entry.
    pub fn bind(&mut self, timestamp: u32) -> u64 {
        let key = Key {
            udp: true,
            ports: 1000 << 16 | 2000,
            src: [0x0a00_0001, 0, 0, 0],
            dst: [0x0a00_0002, 0, 0, 0],
            ..Key::default()
        };
        let index = u64::from(hash::bucket(&key, 1, 0, 16384, self.ways));
        let [port, mib_cnt, ttl] = self.of.shifts;
        let mut words = [0u32; 20];
        words[..8].copy_from_slice(&[
            1 << 30 | 2 << 28 | 1 << ttl | timestamp,
            key.src[0],
            key.dst[0],
            key.ports,
            2 << port | 1 << mib_cnt,
            0x0a00_0909,
            key.dst[0],
            9000 << 16 | 2000,
        ]);
        words[11] = 0x0800 << 16;
        words[12..16].copy_from_slice(&[0x0200_0000, 0x0aaa << 16, 0x0200_0000, 0x0102 << 16]);
        for (i, word) in (0u64..).zip(words) {
            let at = index * self.of.size + 4 * i;
            self.memory.write_all_at(&word.to_le_bytes(), at).unwrap();
        }
        self.clear_cache();
        index
    }
}

/// A frame from 10.0.0.1:1000 to 10.0.0.2.
pub fn frame(dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 9, 9], PORTS[0].mac)
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(1000, dport)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

/// Receives a frame at the guest's NIC.
pub fn from_nic(mut nic: &UnixStream) -> Vec<u8> {
    let mut len = [0; 4];
    nic.read_exact(&mut len).unwrap();
    let mut bytes = vec![0; u32::from_be_bytes(len) as usize];
    nic.read_exact(&mut bytes).unwrap();
    bytes
}

/// Sends a frame from the guest's NIC.
pub fn to_nic(mut nic: &UnixStream, frame: &[u8]) {
    nic.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
    nic.write_all(frame).unwrap();
}
