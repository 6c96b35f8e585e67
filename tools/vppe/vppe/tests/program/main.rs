// SPDX-License-Identifier: GPL-2.0-only
//! The whole program except TAP interfaces. A vfio-user client programs the chip as a guest's
//! driver does; datagram sockets are the wires, a stream socket is the guest's NIC.

mod lab;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use lab::*;
use serde_json::json;
use vppe_model::chip::{MT7621, MT7622, MT7986, MT7988};

#[test]
fn a_flow_leaves_the_cpu() {
    let program = Program::start();
    let nics = ["lan", "wan"].map(|name| program.nic(name));
    let mut driver = Driver::start(&program);
    let [lan, wan] = &program.wires[..] else {
        panic!()
    };
    let mut buf = [0; 2000];

    // By way of the CPU: up at one NIC, down at the other.
    let first = frame(2000, b"first");
    lan.send(&first).unwrap();
    assert_eq!(from_nic(&nics[0]), first);
    to_nic(&nics[1], b"forwarded by the guest");
    let n = wan.recv(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"forwarded by the guest");

    let index = driver.bind(0);
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
fn the_device_is_as_documented() {
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
    driver.bind(0);
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
    driver.client.dma_unmap(BASE, 16384 * 96).unwrap();
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
        driver.bind(0);
        program.wires[0].send(&frame(2000, b"x")).unwrap();
        program.wires[1].recv(&mut [0; 2000]).unwrap();
        drop(driver);
        program.wait(|stats| stats["vfio_connected"] == false && stats["dma_maps"] == 0);
        assert_eq!(program.stats()["ppe"][0]["enabled"], false);
    }
    // A client that sends nonsense: a version without its text.
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
        // vppe refuses a second NIC while the first is connected.
        let second = program.nic("lan");
        assert_eq!((&second).read(&mut [0; 1]).unwrap(), 0);
        program.wires[0].send(&sent).unwrap();
        assert_eq!(from_nic(&nic), sent);
    }
    assert_eq!(program.stats()["ports"][0]["to_cpu_frames"], 3);
}

#[test]
fn frames_for_the_guest_can_say_why() {
    let program = Program::with(&MT7986, true);
    let mut driver = Driver::start(&program);
    assert_eq!(driver.read(BAR2, 0x10), 1);
    driver.write(0x21c, driver.tb_cfg(3));
    driver.write(0x228, 5);
    let lan = program.nic("lan");
    let mut slots = Vec::new();
    // The PPE builds the entry, finds it, and finds it more often than BIND_RATE allows.
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
    let state = driver.ib1(slots[0].into()) >> 28 & 3;
    assert_eq!(state, 1, "the entry that the PPE built");
    // No IP, no entry.
    let mut arp = frame(5000, b"abc");
    arp[12..14].copy_from_slice(&[8, 6]);
    program.wires[0].send(&arp).unwrap();
    let got = from_nic(&lan);
    assert_eq!(got[arp.len()..], [0xff, 0xff, 0x07, 0x5a]);
}

/// A guest that does not read loses frames; the other port goes on.
#[test]
fn a_guest_that_does_not_read_blocks_nothing() {
    let program = Program::start();
    let nic = program.nic("lan");
    to_nic(&nic, b"sync");
    program.wires[0].recv(&mut [0; 100]).unwrap();
    let mut driver = Driver::start(&program);
    driver.bind(0);
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
    // All frames that vppe counted as queued arrive, uncut.
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
    assert_eq!(program.ask(&poke(5)), json!({"ok": true}));
    assert_eq!(driver.ib1(5), 7);
    assert!(program.ask(&poke(1 << 20))["error"].is_string());
    let unknown = program.ask(&fault("no-such", true));
    assert!(unknown["error"].as_str().unwrap().contains("stuck-busy"));
    let nonsense = program.ask(&json!({"cmd": "make-coffee"}));
    assert!(nonsense["error"].is_string());
}

/// The written words are in the table, and another seed writes others.
#[test]
fn scribbles_into_the_tables() {
    let program = Program::start();
    let scribble = |seed: u64, words: u32| json!({"cmd": "scribble", "seed": seed, "words": words});
    let none = program.ask(&scribble(1, 100));
    assert_eq!(none, json!({"ok": true, "written": 0}), "nothing runs yet");
    let mut driver = Driver::start(&program);
    driver.bind(0);
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
    // The engine answers, looks frames up, and a driver can start it again.
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

/// The other generations behind the same PCI device: place of the registers, start of the
/// timestamp, a flow, and its entry.
#[test]
fn other_generations() {
    for (chip, block, stamp) in [
        (&MT7621, 0x0c00, 0x7fffu32),
        (&MT7622, 0x0c00, 0x7fff),
        (&MT7988, 0x2000, 0xff),
    ] {
        let program = Program::on(chip);
        let mut driver = Driver::start(&program);
        assert_eq!(driver.read(BAR2, 8), chip.id);
        assert!((stamp - 15..stamp + 45).contains(&driver.read(BAR0, 0x10)));
        assert_eq!(driver.read(BAR0, block + 0x220), BASE as u32);
        driver.bind(stamp);
        let entry = program.ask(&json!({"cmd": "entries"}));
        assert_eq!(entry["entries"][0]["timestamp"], stamp, "{}", chip.name);
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
