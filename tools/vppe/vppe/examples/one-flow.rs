// SPDX-License-Identifier: GPL-2.0-only
//! Binds IPv4 UDP flows in a running vppe, as a guest's driver would, and stays until its
//! standard input ends. For trying the program without a guest.
//!
//! `one-flow VFIO-SOCKET SRC:SPORT DST:DPORT NEW-SRC:SPORT NEW-DST:DPORT DMAC SMAC PSE`

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Read;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use vfio_user::Client;
use vppe_model::chip::MT7986;
use vppe_model::entry::Key;
use vppe_model::hash;

const BASE: u64 = 0x10_0000;
const SIZE: u64 = 16384 * 96;

fn mac(text: &str) -> Result<(u32, u16), Box<dyn Error>> {
    let digits: String = text.split(':').collect();
    let value = u64::from_str_radix(&digits, 16)?;
    Ok(((value >> 16) as u32, value as u16))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [socket, src, dst, new_src, new_dst, dmac, smac, pse] = args.as_slice() else {
        return Err("see the comment at the top of the source".into());
    };
    let (src, dst): (SocketAddrV4, SocketAddrV4) = (src.parse()?, dst.parse()?);
    let (new_src, new_dst): (SocketAddrV4, SocketAddrV4) = (new_src.parse()?, new_dst.parse()?);
    let pse: u32 = pse.parse()?;

    let table = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(std::env::temp_dir())?;
    table.set_len(SIZE)?;

    let mut client = Client::new(Path::new(socket))?;
    client.dma_map(0, BASE, SIZE, table.as_raw_fd())?;
    client.region_write(7, 4, &6u16.to_le_bytes())?;
    let mut ppe = |reg: u64, value: u32| client.region_write(0, 0x2000 + reg, &value.to_le_bytes());
    ppe(0x220, BASE as u32)?;
    ppe(0x21c, 4 | 1 << 3 | 2 << 4 | 1 << 14 | 1 << 20)?;
    ppe(0x204, 1 << 13)?;
    ppe(0x320, 1)?;
    ppe(0x334, 3)?;
    ppe(0x200, 1)?;

    let ports = |a: SocketAddrV4, b: SocketAddrV4| u32::from(a.port()) << 16 | u32::from(b.port());
    let key = Key {
        udp: true,
        src: [src.ip().to_bits(), 0, 0, 0],
        dst: [dst.ip().to_bits(), 0, 0, 0],
        ports: ports(src, dst),
        ..Key::default()
    };
    let index = hash::bucket(&key, 1, 0, 16384, MT7986.ways);
    let (dmac, smac) = (mac(dmac)?, mac(smac)?);
    let mut words = [0u32; 24];
    words[0] = 1 << 30 | 2 << 28 | 1 << 22;
    words[1] = key.src[0];
    words[2] = key.dst[0];
    words[3] = key.ports;
    words[4] = pse << 9 | 1 << 15;
    words[5] = new_src.ip().to_bits();
    words[6] = new_dst.ip().to_bits();
    words[7] = ports(new_src, new_dst);
    words[11] = 0x0800 << 16;
    words[12] = dmac.0;
    words[13] = u32::from(dmac.1) << 16;
    words[14] = smac.0;
    words[15] = u32::from(smac.1) << 16;
    for (i, word) in words.iter().enumerate() {
        table.write_all_at(&word.to_le_bytes(), u64::from(index) * 96 + 4 * i as u64)?;
    }
    let mut ppe = |reg: u64, value: u32| client.region_write(0, 0x2000 + reg, &value.to_le_bytes());
    ppe(0x320, 1 | 1 << 9)?;
    ppe(0x320, 1)?;
    println!("bound at index {index}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
