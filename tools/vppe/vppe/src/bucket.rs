// SPDX-License-Identifier: GPL-2.0-only
//! `vppe bucket`: the bucket of a flow, and other flows of the same bucket.

use std::net::SocketAddr;

use anyhow::{bail, Result};
use serde_json::{json, Value};
use vppe_model::chip::Chip;
use vppe_model::entry::Key;
use vppe_model::hash;

use crate::cli::{BucketOptions, Vary};

/// Entries of the table, as the known drivers program it.
const ENTRIES: u32 = 16384;

fn key(src: SocketAddr, dst: SocketAddr) -> Result<Key> {
    let ports = u32::from(src.port()) << 16 | u32::from(dst.port());
    let words = |bits: u128| [96, 64, 32, 0].map(|shift| (bits >> shift) as u32);
    Ok(match (src, dst) {
        (SocketAddr::V4(src), SocketAddr::V4(dst)) => Key {
            ports,
            src: [src.ip().to_bits(), 0, 0, 0],
            dst: [dst.ip().to_bits(), 0, 0, 0],
            ..Key::default()
        },
        (SocketAddr::V6(src), SocketAddr::V6(dst)) => Key {
            v6: true,
            ports,
            src: words(src.ip().to_bits()),
            dst: words(dst.ip().to_bits()),
            ..Key::default()
        },
        _ => bail!("{src} and {dst} are not of one family"),
    })
}

fn first_way(chip: &Chip, key: &Key) -> u32 {
    hash::bucket(key, 1, 0, ENTRIES, chip.ways)
}

/// Returns the answer.
pub fn report(options: &BucketOptions) -> Result<Value> {
    let chip = options.chip;
    let first = first_way(chip, &key(options.src, options.dst)?);
    let size = (chip.entry_size)(chip.entry_80b, chip.info_sel);
    let usable: Vec<u32> = (first..first + chip.ways)
        .filter(|&index| chip.usable(u64::from(index * size), size))
        .collect();
    let (mut src, mut dst) = (options.src, options.dst);
    let given = match options.vary {
        Vary::Sport => src.port(),
        Vary::Dport => dst.port(),
    };
    let mut ports = Vec::new();
    for port in (given..=u16::MAX).chain(1024..given).skip(1) {
        if ports.len() >= options.count {
            break;
        }
        match options.vary {
            Vary::Sport => src.set_port(port),
            Vary::Dport => dst.set_port(port),
        }
        if first_way(chip, &key(src, dst)?) == first {
            ports.push(port);
        }
    }
    Ok(json!({
        "chip": chip.name, "index": first, "ways": chip.ways, "usable": usable, "ports": ports,
    }))
}

/// Prints the answer.
pub fn run(options: &BucketOptions) -> Result<()> {
    println!("{}", report(options)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vppe_model::chip::{MT7621, MT7986};

    fn options(chip: &'static Chip, src: &str, dst: &str) -> BucketOptions {
        BucketOptions {
            chip,
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            vary: Vary::Sport,
            count: 5,
        }
    }

    /// The flow of the model's `hash_vectors`.
    #[test]
    fn ports_that_share_a_bucket() {
        let answer = report(&options(&MT7986, "192.168.1.100:1234", "8.8.8.8:8080")).unwrap();
        assert_eq!(answer["index"], 0x1918);
        assert_eq!(answer["usable"], json!([0x1918, 0x1919, 0x191a, 0x191b]));
        let ports = answer["ports"].as_array().unwrap();
        assert_eq!(ports.len(), 5);
        for port in ports {
            let src = format!("192.168.1.100:{port}");
            let same = report(&options(&MT7986, &src, "8.8.8.8:8080")).unwrap();
            assert_eq!(same["index"], 0x1918);
            assert_ne!(*port, 1234);
        }
    }

    #[test]
    fn unusable_slots_are_left_out() {
        let mut seen = false;
        for port in 1..2000 {
            let src = format!("192.168.1.100:{port}");
            let mut options = options(&MT7621, &src, "8.8.8.8:8080");
            options.count = 0;
            let answer = report(&options).unwrap();
            let first = answer["index"].as_u64().unwrap();
            if first % 128 == 12 {
                assert_eq!(answer["usable"], json!([first + 1]));
                seen = true;
            }
        }
        assert!(seen);
    }

    #[test]
    fn families() {
        let mut options = options(&MT7986, "[fd00::1]:1", "[fd00::2]:2");
        options.vary = Vary::Dport;
        assert!(!report(&options).unwrap()["ports"]
            .as_array()
            .unwrap()
            .is_empty());
        options.src = "10.0.0.1:1".parse().unwrap();
        assert!(report(&options).is_err());
    }
}
