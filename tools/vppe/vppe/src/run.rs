// SPDX-License-Identifier: GPL-2.0-only
//! `vppe run`: puts the program together.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;

use anyhow::{bail, Context, Result};
use log::info;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use vppe_model::{FrameEngine, Port};

use crate::board::{self, Board};
use crate::cli::RunOptions;
use crate::control::Control;
use crate::core::Shared;
use crate::datapath::{self, Datapath};
use crate::device::Device;
use crate::port::{mac, PortCounters, PortInfo};
use crate::priority;
use crate::socket::{listen, SocketFile};
use crate::tap::Tap;

/// Assigns PSE ports to the ports of the command line; fails if the board cannot have them.
fn port_infos(options: &RunOptions) -> Result<Vec<PortInfo>> {
    let chip = options.chip;
    if options.ports.len() > board::MAX_PORTS {
        bail!("a board has at most {} ports", board::MAX_PORTS);
    }
    let mut seen = HashSet::new();
    let mut once = |what: String| {
        if seen.insert(what.clone()) {
            Ok(())
        } else {
            bail!("two ports have {what}")
        }
    };
    let mut infos = Vec::new();
    for (i, port) in options.ports.iter().enumerate() {
        let Some(pse) = port.pse.or_else(|| chip.gdm_ports.get(i).copied()) else {
            bail!(
                "port {}: {} has {} GDMs; further ports need pse=",
                port.name,
                chip.name,
                chip.gdm_ports.len()
            );
        };
        if pse == chip.drop_port {
            bail!("port {}: PSE port {pse} is the one that drops", port.name);
        }
        if chip.ppe_ports.contains(&pse) {
            bail!("port {}: PSE port {pse} is a PPE's", port.name);
        }
        let ppes = chip.ppe_bases.len();
        if port.ppe >= ppes {
            bail!("port {}: {} has {ppes} PPEs", port.name, chip.name);
        }
        once(format!("name={}", port.name))?;
        once(format!("mac={}", mac(&port.mac)))?;
        once(format!("tap={}", port.tap))?;
        once(format!("nic={}", port.nic.display()))?;
        once(format!("pse={pse}"))?;
        infos.push(PortInfo {
            name: port.name.clone(),
            pse,
            mac: port.mac,
            counters: PortCounters::default(),
        });
    }
    Ok(infos)
}

/// The sockets of the program.
struct Sockets {
    control: UnixListener,
    vfio_user: UnixListener,
    nics: Vec<UnixListener>,
    files: Vec<SocketFile>,
}

impl Sockets {
    fn listen(options: &RunOptions) -> Result<Self> {
        let (control, control_file) = listen(&options.control)?;
        let (vfio_user, vfio_file) = listen(&options.vfio_user)?;
        let mut this = Self {
            control,
            vfio_user,
            nics: Vec::new(),
            files: vec![control_file, vfio_file],
        };
        for port in &options.ports {
            let (nic, file) = listen(&port.nic)?;
            this.nics.push(nic);
            this.files.push(file);
        }
        Ok(this)
    }
}

/// Creates the TAP interfaces and joins them with the NICs' sockets.
fn datapath_ports(options: &RunOptions, nics: Vec<UnixListener>) -> Result<Vec<datapath::Port>> {
    let ports = options.ports.iter().zip(nics);
    ports
        .map(|(port, listener)| {
            let tap = Tap::create(&port.tap).with_context(|| format!("port {}", port.name))?;
            Ok(datapath::Port { tap, listener })
        })
        .collect()
}

/// Makes the chip and the content of BAR2.
fn chip(options: &RunOptions, infos: &[PortInfo]) -> (FrameEngine, Vec<u8>) {
    let ports: Vec<Port> = infos
        .iter()
        .zip(&options.ports)
        .map(|(info, port)| Port {
            ppe: port.ppe,
            special_tag: port.special_tag,
            ..Port::new(info.pse, info.mac)
        })
        .collect();
    let mut engine = FrameEngine::new(options.chip, &ports);
    for ppe in engine.ppes_mut() {
        ppe.set_mib_busy_reads(options.mib_busy_reads);
    }
    let board = Board {
        magic: options.board_magic,
        version: options.board_version,
        chip: options.board_chip.unwrap_or(options.chip.id),
        rx_words: options.rx_words,
        ports,
    };
    (engine, board.bytes())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(())
}

/// Runs until SIGTERM or SIGINT.
pub fn run(options: &RunOptions) -> Result<()> {
    let infos = Arc::new(port_infos(options)?);
    // Threads inherit the priority: raise it before the first one starts.
    if let Err(error) = priority::raise(options.nice) {
        info!("priority stays as it is: nice {}: {error}", options.nice);
    }
    let (stop, signal) = UnixStream::pair()?;
    for number in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(number, signal.try_clone()?)?;
    }

    // The sockets refuse a second vppe before it creates interfaces.
    let sockets = Sockets::listen(options)?;
    let ports = datapath_ports(options, sockets.nics)?;
    let (engine, board) = chip(options, &infos);
    let shared = Arc::new(Shared::new(engine));
    let device = Device::new(Arc::clone(&shared), board);
    spawn("vfio-user", move || device.serve(sockets.vfio_user))?;
    let control = Control::new(Arc::clone(&shared), Arc::clone(&infos));
    spawn("control", move || control.serve(sockets.control))?;
    let (cpu_queue, rx_words) = (options.cpu_queue, options.rx_words);
    let datapath = Datapath::new(shared, infos, ports, stop, cpu_queue, rx_words)?;

    let ready = json!({"event": "ready", "pid": std::process::id()});
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;

    let end = datapath.run();
    drop(sockets.files);
    info!("stopped");
    end
}
