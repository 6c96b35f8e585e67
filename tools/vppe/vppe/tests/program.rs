// SPDX-License-Identifier: GPL-2.0-only
//! The whole program but for its TAP interfaces: a vfio-user client programs the chip as
//! a guest's driver would, frames go in and out of datagram sockets, a stream socket is
//! the guest's NIC.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
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
use vppe_model::chip::{Chip, MT7621, MT7622, MT7986, MT7988};
use vppe_model::entry::Key;
use vppe_model::{hash, FrameEngine, Port};

const BAR0: u32 = 0;
const BAR2: u32 = 2;
const CONFIG: u32 = 7;
const BASE: u64 = 0x10_0000;
const TABLE: u64 = 16384 * 96;
const CPU_QUEUE: usize = 16;
const PORTS: [Port; 2] = [
    Port::new(1, [2, 0, 0, 0, 1, 1]),
    Port::new(2, [2, 0, 0, 0, 1, 2]),
];

struct Program {
    dir: TempDir,
    wires: Vec<UnixDatagram>,
    stop: UnixStream,
    datapath: Option<JoinHandle<()>>,
}

impl Program {
    fn start() -> Self {
        Self::on(&MT7986)
    }

    fn on(chip: &'static Chip) -> Self {
        Self::with(chip, false)
    }

    fn with(chip: &'static Chip, rx_words: bool) -> Self {
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
            dir,
            wires,
            stop,
            datapath: Some(datapath),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ask(&self, request: &Value) -> Value {
        let mut stream = UnixStream::connect(self.path("control")).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.matches('\n').count(), 1, "one line");
        serde_json::from_str(&answer).unwrap()
    }

    fn stats(&self) -> Value {
        self.ask(&json!({"cmd": "stats"}))
    }

    /// Waits until the statistics satisfy a condition.
    #[track_caller]
    fn wait(&self, condition: impl Fn(&Value) -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !condition(&self.stats()) {
            assert!(Instant::now() < end, "{:#}", self.stats());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn nic(&self, name: &str) -> UnixStream {
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

struct Driver {
    client: Client,
    memory: File,
}

impl Driver {
    /// Starts the chip as a guest's driver does.
    fn start(program: &Program) -> Self {
        let memory = tempfile::tempfile().unwrap();
        memory.set_len(TABLE).unwrap();
        let mut client = Client::new(&program.path("vfio")).unwrap();
        client.dma_map(0, BASE, TABLE, memory.as_raw_fd()).unwrap();
        let mut this = Self { client, memory };
        this.config_write(4, &6u16.to_le_bytes());
        for (reg, value) in [
            (0x220, BASE as u32),
            (0x21c, 4 | 1 << 3 | 2 << 4 | 1 << 14 | 1 << 20),
            (0x204, 1 << 13),
            (0x320, 1),
            (0x334, 3),
            (0x200, 1),
        ] {
            this.write(reg, value);
        }
        this
    }

    fn config_write(&mut self, at: u64, data: &[u8]) {
        self.client.region_write(CONFIG, at, data).unwrap();
    }

    fn read(&mut self, region: u32, at: u64) -> u32 {
        let mut word = [0; 4];
        self.client.region_read(region, at, &mut word).unwrap();
        u32::from_le_bytes(word)
    }

    fn write(&mut self, reg: u64, value: u32) {
        self.client
            .region_write(BAR0, 0x2000 + reg, &value.to_le_bytes())
            .unwrap();
    }

    fn clear_cache(&mut self) {
        self.write(0x320, 1 | 1 << 9);
        self.write(0x320, 1);
    }

    /// Binds 10.0.0.1:1000 to 10.0.0.2:2000 (UDP), source translated to 10.0.9.9:9000.
    fn bind(&mut self) -> u64 {
        let key = Key {
            udp: true,
            ports: 1000 << 16 | 2000,
            src: [0x0a00_0001, 0, 0, 0],
            dst: [0x0a00_0002, 0, 0, 0],
            ..Key::default()
        };
        let index = u64::from(hash::bucket(&key, 1, 0, 16384, 4));
        let mut words = [0u32; 24];
        words[..8].copy_from_slice(&[
            1 << 30 | 2 << 28 | 1 << 22,
            key.src[0],
            key.dst[0],
            key.ports,
            2 << 9 | 1 << 15,
            0x0a00_0909,
            key.dst[0],
            9000 << 16 | 2000,
        ]);
        words[11] = 0x0800 << 16;
        words[12..16].copy_from_slice(&[0x0200_0000, 0x0aaa << 16, 0x0200_0000, 0x0102 << 16]);
        for (i, word) in (0u64..).zip(words) {
            self.memory
                .write_all_at(&word.to_le_bytes(), index * 96 + 4 * i)
                .unwrap();
        }
        self.clear_cache();
        index
    }
}

fn frame(dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 9, 9], PORTS[0].mac)
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(1000, dport)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn from_nic(mut nic: &UnixStream) -> Vec<u8> {
    let mut len = [0; 4];
    nic.read_exact(&mut len).unwrap();
    let mut bytes = vec![0; u32::from_be_bytes(len) as usize];
    nic.read_exact(&mut bytes).unwrap();
    bytes
}

fn to_nic(mut nic: &UnixStream, frame: &[u8]) {
    nic.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
    nic.write_all(frame).unwrap();
}

#[test]
fn a_flow_leaves_the_cpu() {
    let program = Program::start();
    let nics = ["lan", "wan"].map(|name| program.nic(name));
    let mut driver = Driver::start(&program);
    let [lan, wan] = &program.wires[..] else {
        panic!()
    };
    let mut buf = [0; 2000];

    // By the CPU: up at one NIC, down at the other.
    let first = frame(2000, b"first");
    lan.send(&first).unwrap();
    assert_eq!(from_nic(&nics[0]), first);
    to_nic(&nics[1], b"forwarded by the guest");
    let n = wan.recv(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"forwarded by the guest");

    let index = driver.bind();
    for _ in 0..200 {
        lan.send(&frame(2000, b"second")).unwrap();
        let n = wan.recv(&mut buf).unwrap();
        let packet = etherparse::PacketHeaders::from_ethernet_slice(&buf[..n]).unwrap();
        let udp = packet.transport.unwrap().udp().unwrap();
        assert_eq!((udp.source_port, udp.destination_port), (9000, 2000));
        assert_eq!(packet.payload.slice(), b"second");
    }

    program.wait(|stats| stats["ports"][1]["hw_tx_frames"] == 200);
    let stats = program.stats();
    assert_eq!(stats["chip"], "mt7986");
    assert_eq!(stats["vfio_connected"], true);
    assert_eq!(stats["ports"][0]["wire_rx_frames"], 201);
    assert_eq!(stats["ports"][0]["to_cpu_frames"], 1);
    assert_eq!(stats["ports"][1]["from_cpu_frames"], 1);
    assert_eq!(stats["ports"][1]["wire_tx_frames"], 201);
    assert_eq!(stats["ports"][1]["hw_tx_bytes"], 200 * 48);
    assert_eq!(stats["ppe"][0]["enabled"], true);
    assert_eq!(stats["ppe"][0]["bound"], 1);
    assert_eq!(stats["ppe"][0]["hits"], 200);
    assert_eq!(stats["ppe"][0]["cpu_reasons"], json!({"UN_HIT": 1}));

    let entries = program.ask(&json!({"cmd": "entries"}));
    let entry = &entries["entries"][0];
    assert_eq!(entry["index"], index);
    assert_eq!(entry["orig"]["src"], "10.0.0.1");
    assert_eq!(entry["new"]["sport"], 9000);
    assert_eq!(entry["packets"], 200);
    assert_eq!(entry["bytes"], 200 * 34);

    program.ask(&json!({"cmd": "reset-stats"}));
    let stats = program.stats();
    assert_eq!(stats["ports"][0]["wire_rx_frames"], 0);
    assert_eq!(stats["ppe"][0]["hits"], 0);
    assert_eq!(stats["ppe"][0]["bound"], 1);
}

#[test]
fn the_device_is_that_of_the_contract() {
    let program = Program::start();
    let mut driver = Driver::start(&program);
    assert_eq!(driver.read(CONFIG, 0), 0x10f7_1af4);
    assert_eq!(driver.client.region(BAR0).unwrap().size, 64 * 1024);
    assert_eq!(driver.client.region(BAR2).unwrap().size, 4096);
    assert_eq!(driver.read(BAR2, 0), 0x4550_5056);
    assert_eq!(driver.read(BAR2, 8), 0x7986);
    assert_eq!(driver.read(BAR2, 0x44), 0x0000_0002);
    assert_eq!(driver.read(BAR2, 0x48), 0x0000_0101);
    driver.client.region_write(BAR2, 0, &[0; 4]).unwrap();
    assert_eq!(driver.read(BAR2, 0), 0x4550_5056, "read-only");
    // The timestamp starts shortly before its low eight bits wrap.
    assert!((240..300).contains(&driver.read(BAR0, 0x10)));
    assert_eq!(driver.read(BAR0, 0x2220), BASE as u32);
    let mut narrow = [0xff; 2];
    driver
        .client
        .region_read(BAR0, 0x2220, &mut narrow)
        .unwrap();
    assert_eq!(narrow, [0, 0], "32-bit accesses only");
    driver.client.region_write(BAR0, 0x2220, &[1, 2]).unwrap();
    assert_eq!(driver.read(BAR0, 0x2220), BASE as u32);
    driver.client.reset().unwrap();
    assert_eq!(driver.read(BAR0, 0x2220), 0, "reset");
    assert_eq!(driver.read(CONFIG, 4) & 0xffff, 0);
}

#[test]
fn without_bus_mastering_there_is_no_dma() {
    let program = Program::start();
    let nic = program.nic("lan");
    let mut driver = Driver::start(&program);
    driver.bind();
    driver.config_write(4, &2u16.to_le_bytes());
    let sent = frame(2000, b"x");
    program.wires[0].send(&sent).unwrap();
    assert_eq!(from_nic(&nic), sent);
    let stats = program.stats();
    assert_eq!(stats["ppe"][0]["cpu_reasons"], json!({"TABLE_ERROR": 1}));
    assert_eq!(stats["masters_running"], 0);
    driver.config_write(4, &6u16.to_le_bytes());
    assert_eq!(program.stats()["masters_running"], 1);
    driver.config_write(4, &6u16.to_le_bytes());
    assert_eq!(program.stats()["masters_running"], 1);
    program.wires[0].send(&sent).unwrap();
    program.wait(|stats| stats["ppe"][0]["forwarded"] == 1);
    driver.client.dma_unmap(BASE, TABLE).unwrap();
    driver.clear_cache();
    program.wires[0].send(&sent).unwrap();
    assert_eq!(from_nic(&nic), sent);
    program.wait(|stats| stats["dma_maps"] == 0);
}

#[test]
fn clients_come_and_go() {
    let program = Program::start();
    for _ in 0..3 {
        let mut driver = Driver::start(&program);
        driver.bind();
        program.wires[0].send(&frame(2000, b"x")).unwrap();
        program.wires[1].recv(&mut [0; 2000]).unwrap();
        drop(driver);
        program.wait(|stats| stats["vfio_connected"] == false && stats["dma_maps"] == 0);
        assert_eq!(program.stats()["ppe"][0]["enabled"], false);
    }
    // One that talks nonsense: a version without its text.
    let mut rude = UnixStream::connect(program.path("vfio")).unwrap();
    let mut message = [0u8; 20];
    message[2] = 1;
    message[4] = 20;
    rude.write_all(&message).unwrap();
    let _ = rude.read(&mut [0; 64]);
    drop(rude);
    let mut driver = Driver::start(&program);
    assert_eq!(driver.read(BAR2, 0), 0x4550_5056);
}

#[test]
fn nics_come_and_go() {
    let program = Program::start();
    let sent = frame(1, b"to the guest");
    program.wires[0].send(&sent).unwrap();
    program.wait(|stats| stats["ports"][0]["to_cpu_drops"] == 1);
    for _ in 0..3 {
        let nic = program.nic("lan");
        to_nic(&nic, b"sync");
        program.wires[0].recv(&mut [0; 100]).unwrap();
        // A second one is refused as long as the first lives.
        let second = program.nic("lan");
        assert_eq!((&second).read(&mut [0; 1]).unwrap(), 0);
        program.wires[0].send(&sent).unwrap();
        assert_eq!(from_nic(&nic), sent);
    }
    assert_eq!(program.stats()["ports"][0]["to_cpu_frames"], 3);
}

/// A guest that does not read costs frames, not time: the others go on.
#[test]
fn frames_for_the_guest_can_say_why() {
    let program = Program::with(&MT7986, true);
    let mut driver = Driver::start(&program);
    assert_eq!(driver.read(BAR2, 0x10), 1);
    driver.write(0x21c, 4 | 1 << 3 | 3 << 4 | 1 << 14 | 1 << 20);
    driver.write(0x228, 5);
    let lan = program.nic("lan");
    let mut slots = Vec::new();
    // Made, found, and found so often within a second that it is to be bound.
    let mut fast = false;
    for n in 0..20 {
        let sent = frame(5000, b"abc");
        program.wires[0].send(&sent).unwrap();
        let mut got = from_nic(&lan);
        let word = got.split_off(sent.len());
        assert_eq!(got, sent);
        let word = u32::from_le_bytes(word.try_into().unwrap());
        assert_eq!(word >> 24, 0x5a);
        let reason = word >> 16 & 0xff;
        match n {
            0 => assert_eq!(reason, 0x0d),
            _ => assert!(reason == 0x0e || reason == 0x0f),
        }
        fast |= reason == 0x0f;
        slots.push(word & 0xffff);
    }
    assert!(fast);
    slots.dedup();
    assert_eq!(slots.len(), 1);
    let mut word0 = [0; 4];
    let at = u64::from(slots[0]) * 96;
    driver.memory.read_exact_at(&mut word0, at).unwrap();
    let state = u32::from_le_bytes(word0) >> 28 & 3;
    assert_eq!(state, 1, "it is the entry that the engine has learned");
    // No IP, no entry.
    let mut arp = frame(5000, b"abc");
    arp[12..14].copy_from_slice(&[8, 6]);
    program.wires[0].send(&arp).unwrap();
    let got = from_nic(&lan);
    assert_eq!(got[arp.len()..], [0xff, 0xff, 0x07, 0x5a]);
}

#[test]
fn a_guest_that_does_not_read_blocks_nothing() {
    let program = Program::start();
    let nic = program.nic("lan");
    to_nic(&nic, b"sync");
    program.wires[0].recv(&mut [0; 100]).unwrap();
    let mut driver = Driver::start(&program);
    driver.bind();
    let miss = frame(1, &[0; 1400]);
    let end = Instant::now() + Duration::from_secs(20);
    let mut sent = 0;
    while program.stats()["ports"][0]["to_cpu_drops"] == 0 {
        assert!(Instant::now() < end);
        for _ in 0..50 {
            program.wires[0].send(&miss).unwrap();
            sent += 1;
        }
    }
    program.wires[0].send(&frame(2000, b"hit")).unwrap();
    program.wires[1].recv(&mut [0; 2000]).unwrap();
    // All that was counted as queued arrives, uncut.
    program.wait(|stats| stats["ports"][0]["wire_rx_frames"] == sent + 1);
    let stats = program.stats();
    let queued = stats["ports"][0]["to_cpu_frames"].as_u64().unwrap();
    let dropped = stats["ports"][0]["to_cpu_drops"].as_u64().unwrap();
    assert_eq!(queued + dropped, sent);
    for _ in 0..queued {
        assert_eq!(from_nic(&nic), miss);
    }
    nic.set_nonblocking(true).unwrap();
    let nothing = (&nic).read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

#[test]
fn faults_by_the_control_socket() {
    let program = Program::start();
    let mut driver = Driver::start(&program);
    let fault = |name: &str, on: bool| json!({"cmd": "fault", "name": name, "on": on});
    assert_eq!(program.ask(&fault("dead", true)), json!({"ok": true}));
    assert_eq!(driver.read(BAR0, 0x2200), u32::MAX);
    assert_eq!(program.stats()["faults"]["dead"], true);
    program.ask(&fault("dead", false));
    assert_eq!(driver.read(BAR0, 0x2200), 1);
    program.ask(&fault("stuck-busy", true));
    assert_eq!(driver.read(BAR0, 0x2200), 1 << 31 | 1);
    program.ask(&fault("stuck-busy", false));
    program.ask(&json!({"cmd": "fault", "name": "lost-writes", "on": true, "count": 2}));
    for value in [5, 6, 7] {
        driver.write(0x244, value);
    }
    assert_eq!(driver.read(BAR0, 0x2244), 7);
    assert_eq!(program.stats()["faults"]["lost_writes"], 0);
    let poke = |index: u32| json!({"cmd": "poke", "ppe": 0, "index": index, "word": 0, "value": 7});
    let at = 96 * 5;
    assert_eq!(program.ask(&poke(5)), json!({"ok": true}));
    let mut word0 = [0; 4];
    driver.memory.read_exact_at(&mut word0, at).unwrap();
    assert_eq!(u32::from_le_bytes(word0), 7);
    assert!(program.ask(&poke(1 << 20))["error"].is_string());
    let unknown = program.ask(&fault("no-such", true));
    assert!(unknown["error"].as_str().unwrap().contains("stuck-busy"));
    let nonsense = program.ask(&json!({"cmd": "make-coffee"}));
    assert!(nonsense["error"].is_string());
}

/// What it writes is in the table, and the next seed writes something else.
#[test]
fn scribbles_into_the_tables() {
    let program = Program::start();
    let scribble = |seed: u64, words: u32| json!({"cmd": "scribble", "seed": seed, "words": words});
    let none = program.ask(&scribble(1, 100));
    assert_eq!(none, json!({"ok": true, "written": 0}), "nothing runs yet");
    let mut driver = Driver::start(&program);
    driver.bind();
    let entries = || program.ask(&json!({"cmd": "entries"}));
    let before = entries();
    let done = program.ask(&scribble(1, 5000));
    assert_eq!(done, json!({"ok": true, "written": 5000}));
    let after = entries();
    assert_ne!(after, before);
    program.ask(&scribble(2, 5000));
    assert_ne!(entries(), after);
    let many = program.ask(&scribble(1, 1_000_000));
    assert!(many["error"].as_str().unwrap().contains("too many"));
    // It answers, looks frames up and can be started again.
    program.wires[0].send(&frame(2000, b"x")).unwrap();
    program.wait(|stats| stats["ppe"][0]["lookups"] == 1);
    driver.client.reset().unwrap();
    assert_eq!(entries(), json!({"entries": []}));
}

#[test]
fn a_stopped_datapath_ends() {
    let program = Program::start();
    let begin = Instant::now();
    drop(program);
    assert!(begin.elapsed() < Duration::from_secs(2));
}

/// The other generations behind the same PCI device: where their registers are, how far the
/// timestamp is from its wrap, a flow, and what `entries` says of it.
#[test]
fn other_generations() {
    for (chip, block, size, tb_cfg, stamp) in [
        (&MT7621, 0x0c00, 80, 1 << 3, 0x7ff0u32),
        (&MT7622, 0x0c00, 80, 1 << 3, 0x7ff0),
        (&MT7988, 0x2000, 128, 1 << 20, 240),
    ] {
        let program = Program::on(chip);
        let memory = tempfile::tempfile().unwrap();
        let table = 16384 * size;
        memory.set_len(table).unwrap();
        let mut client = Client::new(&program.path("vfio")).unwrap();
        client.dma_map(0, BASE, table, memory.as_raw_fd()).unwrap();
        let mut driver = Driver { client, memory };
        driver.config_write(4, &6u16.to_le_bytes());
        assert_eq!(driver.read(BAR2, 8), chip.id);
        assert!((stamp..stamp + 60).contains(&driver.read(BAR0, 0x10)));
        for (reg, value) in [
            (0x220, BASE as u32),
            (0x21c, 4 | 2 << 4 | 1 << 14 | tb_cfg),
            (0x204, 1 << 13),
            (0x320, 1),
            (0x334, 3),
            (0x200, 1),
        ] {
            let word = u32::to_le_bytes(value);
            driver
                .client
                .region_write(BAR0, block + reg, &word)
                .unwrap();
        }
        let key = Key {
            udp: true,
            ports: 1000 << 16 | 2000,
            src: [0x0a00_0001, 0, 0, 0],
            dst: [0x0a00_0002, 0, 0, 0],
            ..Key::default()
        };
        let index = u64::from(hash::bucket(&key, 1, 0, 16384, chip.ways));
        let (ib1, ib2) = if size == 80 {
            (1 << 24 | 0x7fff, 2 << 5 | 1 << 10)
        } else {
            (1 << 22 | 0xff, 2 << 9 | 1 << 15)
        };
        let mut words = [0u32; 20];
        words[..8].copy_from_slice(&[
            1 << 30 | 2 << 28 | ib1,
            key.src[0],
            key.dst[0],
            key.ports,
            ib2,
            0x0a00_0909,
            key.dst[0],
            9000 << 16 | 2000,
        ]);
        words[11] = 0x0800 << 16;
        for (i, word) in (0u64..).zip(words) {
            let at = index * size + 4 * i;
            driver.memory.write_all_at(&word.to_le_bytes(), at).unwrap();
        }
        let entry = program.ask(&json!({"cmd": "entries"}));
        let bits = if size == 80 { 0x7fff } else { 0xff };
        assert_eq!(entry["entries"][0]["timestamp"], bits, "{}", chip.name);
        assert_eq!(entry["entries"][0]["usable"], true);
        program.wires[0].send(&frame(2000, b"x")).unwrap();
        let mut buf = [0; 100];
        let n = program.wires[1].recv(&mut buf).unwrap();
        assert_eq!(buf[34..36], 9000u16.to_be_bytes());
        assert_eq!(n, 43);
        program.wait(|stats| stats["ports"][1]["hw_tx_frames"] == 1);
        assert_eq!(program.stats()["chip"], chip.name);
        let entry = program.ask(&json!({"cmd": "entries"}));
        let packets = if chip.mib.is_some() { 1 } else { 0 };
        assert_eq!(entry["entries"][0]["packets"], packets);
    }
}
