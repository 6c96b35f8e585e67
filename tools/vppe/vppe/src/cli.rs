// SPDX-License-Identifier: GPL-2.0-only
//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use log::LevelFilter;
use vppe_model::chip::{self, Chip};

use crate::request::Request;

const EXAMPLES: &str = "\
Examples:
  An MT7986 with two ports; QEMU connects to the three sockets:

    vppe run --chip mt7986 --vfio-user run/vfio --control run/ctl \\
        --port name=lan,mac=02:00:00:00:01:01,tap=lan0,nic=run/lan.nic \\
        --port name=wan,mac=02:00:00:00:01:02,tap=wan0,nic=run/wan.nic

  QEMU's command line for this board:

    -machine q35,memory-backend=mem
    -object memory-backend-memfd,id=mem,size=512M,share=on
    -device '{\"driver\":\"vfio-user-pci\",\"socket\":{\"path\":\"run/vfio\",\"type\":\"unix\"}}'
    -netdev stream,id=lan,server=off,addr.type=unix,addr.path=run/lan.nic
    -device virtio-net-pci,netdev=lan,mac=02:00:00:00:01:01,romfile=

  Statistics, bound entries, and a chip that stops answering:

    vppe ctl --control run/ctl stats
    vppe ctl --control run/ctl entries
    vppe ctl --control run/ctl fault dead on";

/// The emulated packet processing engine.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    /// The command with its options.
    #[command(subcommand)]
    pub command: Command,
}

/// A command of vppe.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Emulate a chip until SIGTERM or SIGINT.
    ///
    /// When all sockets exist, vppe prints one line of JSON, {"event":"ready","pid":…}.
    /// Messages go to stderr.
    #[command(after_help = EXAMPLES)]
    Run(RunOptions),
    /// Send a request to a running vppe and print the answer (JSON).
    Ctl(CtlOptions),
    /// Print a flow's bucket and other flows of the same bucket (JSON).
    ///
    /// The bucket is full when it has a flow in each slot of "usable".
    Bucket(BucketOptions),
}

/// Options of `vppe run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Chip to emulate: mt7621, mt7623, mt7622, mt7981, mt7986 or mt7988.
    #[arg(long, value_parser = parse_chip)]
    pub chip: &'static Chip,

    /// Socket for QEMU's vfio-user-pci.
    #[arg(long, value_name = "PATH")]
    pub vfio_user: PathBuf,

    /// Socket for `vppe ctl`.
    #[arg(long, value_name = "PATH")]
    pub control: PathBuf,

    /// A port: name=NAME,mac=MAC,tap=IFNAME,nic=PATH[,pse=N][,ppe=N][,tag=mtk].
    ///
    /// vppe creates the TAP interface IFNAME. QEMU's `-netdev stream` connects to the socket
    /// PATH. pse= is the PSE port; by default the first port is the chip's first GDM, the
    /// second port its second, and so on; ports beyond the chip's GDMs need pse=. ppe= is
    /// the number of the PPE that gets the port's frames, 0 by default. With tag=mtk a switch
    /// is behind the port: frames come in with MediaTek's special tag.
    #[arg(long = "port", value_name = "PORT", required = true)]
    pub ports: Vec<PortOption>,

    /// Most frames that wait for a guest's NIC; vppe drops more.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub cpu_queue: usize,

    /// Append to each frame for a guest's NIC what a receive descriptor says: the entry that
    /// the PPE found or built, and why the frame goes to the CPU.
    #[arg(long)]
    pub rx_words: bool,

    /// Register reads for which a serial MIB read stays busy.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub mib_busy_reads: u32,

    /// Nice value to run with, if it is permitted and better than the current one.
    #[arg(long, value_name = "N", default_value_t = -10, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub nice: i32,

    /// Magic in the board description, for tests of a driver's refusals.
    #[arg(long, value_name = "HEX", value_parser = parse_hex, default_value = "45505056")]
    pub board_magic: u32,

    /// Layout version in the board description, for tests of a driver's refusals.
    #[arg(long, value_name = "HEX", value_parser = parse_hex, default_value = "1")]
    pub board_version: u32,

    /// Chip number in the board description, for tests of a driver's refusals.
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    pub board_chip: Option<u32>,

    /// Messages to print: off, error, warn, info, debug, trace. RUST_LOG takes precedence.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,
}

/// The value of `--port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOption {
    /// Name in statistics and messages.
    pub name: String,
    /// MAC address.
    pub mac: [u8; 6],
    /// Name of the TAP interface.
    pub tap: String,
    /// Socket of the guest's NIC.
    pub nic: PathBuf,
    /// PSE port; `None`: of the chip's next GDM.
    pub pse: Option<u8>,
    /// Number of the PPE that gets the port's frames.
    pub ppe: usize,
    /// Frames come in with a special tag.
    pub special_tag: bool,
}

impl FromStr for PortOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut name, mut mac, mut tap, mut nic, mut pse) = (None, None, None, None, None);
        let (mut ppe, mut special_tag) = (0, false);
        for pair in text.split(',') {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("'{pair}' is not of the form key=value"))?;
            if value.is_empty() {
                return Err(format!("{key}= is empty"));
            }
            match key {
                "name" => name = Some(value.to_owned()),
                "mac" => mac = Some(parse_mac(value)?),
                "tap" if value.len() < 16 && !value.contains('/') => tap = Some(value.to_owned()),
                "tap" => return Err(format!("'{value}' cannot be an interface's name")),
                "nic" => nic = Some(PathBuf::from(value)),
                "pse" => match value.parse() {
                    Ok(n @ 1..=15) => pse = Some(n),
                    _ => return Err(format!("pse={value}: not a PSE port (1 to 15)")),
                },
                "ppe" => {
                    ppe = value
                        .parse()
                        .map_err(|_| format!("ppe={value}: not a number"))?;
                }
                "tag" if value == "mtk" => special_tag = true,
                "tag" => return Err(format!("tag={value}: there is only mtk")),
                _ => {
                    let known = "name, mac, tap, nic, pse, ppe, tag";
                    return Err(format!("unknown key '{key}' ({known})"));
                }
            }
        }
        Ok(Self {
            name: name.ok_or("name= is missing")?,
            mac: mac.ok_or("mac= is missing")?,
            tap: tap.ok_or("tap= is missing")?,
            nic: nic.ok_or("nic= is missing")?,
            pse,
            ppe,
            special_tag,
        })
    }
}

/// Options of `vppe ctl`.
#[derive(Debug, Args)]
pub struct CtlOptions {
    /// Control socket of the running vppe.
    #[arg(long, value_name = "PATH")]
    pub control: PathBuf,

    /// Request to send.
    #[command(subcommand)]
    pub request: Request,
}

/// Options of `vppe bucket`.
#[derive(Debug, Args)]
pub struct BucketOptions {
    /// Chip whose table it is.
    #[arg(long, value_parser = parse_chip)]
    pub chip: &'static Chip,

    /// Source of incoming frames: address and port, an IPv6 address in brackets.
    #[arg(long)]
    pub src: SocketAddr,

    /// Destination of incoming frames.
    #[arg(long)]
    pub dst: SocketAddr,

    /// Port to vary in the search for flows of the same bucket.
    #[arg(long, value_enum, default_value_t = Vary::Sport)]
    pub vary: Vary,

    /// Number of such flows to print.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub count: usize,
}

/// Port to vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Vary {
    /// Source port.
    Sport,
    /// Destination port.
    Dport,
}

fn parse_chip(name: &str) -> Result<&'static Chip, String> {
    chip::by_name(name).ok_or_else(|| {
        let known: Vec<_> = chip::CHIPS.iter().map(|chip| chip.name).collect();
        format!("unknown chip; there are: {}", known.join(", "))
    })
}

fn parse_hex(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u32::from_str_radix(digits, 16).map_err(|_| "not a hexadecimal number of 32 bits".to_owned())
}

fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let error = || format!("'{text}' is not a MAC address");
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts
            .next()
            .filter(|part| part.len() == 2)
            .ok_or_else(error)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
    }
    if parts.next().is_some() {
        return Err(error());
    }
    if mac[0] & 1 != 0 {
        return Err(format!("'{text}' is a multicast address"));
    }
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn ports_are_parsed() {
        let port: PortOption = "name=lan,mac=02:00:00:00:01:0a,tap=lan0,nic=/x/y z,pse=3"
            .parse()
            .unwrap();
        assert_eq!(port.mac, [2, 0, 0, 0, 1, 10]);
        assert_eq!(port.nic, PathBuf::from("/x/y z"));
        assert_eq!(port.pse, Some(3));
        assert_eq!((port.ppe, port.special_tag), (0, false));
        let port: PortOption = "name=l,mac=02:00:00:00:01:0a,tap=t,nic=n,ppe=2,tag=mtk"
            .parse()
            .unwrap();
        assert_eq!((port.ppe, port.special_tag), (2, true));
        for bad in [
            "name=lan",
            "lan",
            "name=l,mac=02:00:00:00:01,tap=t,nic=n",
            "name=l,mac=01:00:00:00:01:01,tap=t,nic=n",
            "name=l,mac=02:00:00:00:01:01,tap=t,nic=n,pse=0",
            "name=l,mac=02:00:00:00:01:01,tap=far-too-long-a-name,nic=n",
            "name=l,mac=02:00:00:00:01:01,tap=t,nic=n,ppe=x",
            "name=l,mac=02:00:00:00:01:01,tap=t,nic=n,tag=dsa",
            "name=l,mac=02:00:00:00:01:01,tap=t,nic=n,what=x",
        ] {
            assert!(bad.parse::<PortOption>().is_err(), "{bad}");
        }
    }
}
