// SPDX-License-Identifier: GPL-2.0-only
//! `vppe run`.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
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
use crate::priority;
use crate::socket::listen;
use crate::stats::{mac, PortCounters, PortInfo};
use crate::tap::Tap;

/// Gives each port its PSE port, and refuses what cannot be.
fn ports(options: &RunOptions) -> Result<Vec<PortInfo>> {
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
            bail!("port {}: PSE port {pse} is an engine's", port.name);
        }
        let engines = chip.ppe_bases.len();
        if port.ppe >= engines {
            bail!("port {}: {} has {engines} engines", port.name, chip.name);
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

/// Runs until SIGTERM or SIGINT.
pub fn run(options: &RunOptions) -> Result<()> {
    let infos = Arc::new(ports(options)?);
    // Before there are threads: they inherit it.
    if let Err(error) = priority::raise(options.nice) {
        info!("priority stays as it is: nice {}: {error}", options.nice);
    }

    let (stop, signal) = UnixStream::pair()?;
    for number in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(number, signal.try_clone()?)?;
    }

    // Sockets before interfaces: a second vppe is refused before it does anything.
    let (control_socket, _control_file) = listen(&options.control)?;
    let (vfio_socket, _vfio_file) = listen(&options.vfio_user)?;
    let mut files = Vec::new();
    let mut wires = Vec::new();
    for port in &options.ports {
        let (listener, file) = listen(&port.nic)?;
        files.push(file);
        wires.push((listener, port));
    }
    let mut datapath_ports = Vec::new();
    for (listener, port) in wires {
        let tap = Tap::create(&port.tap).with_context(|| format!("port {}", port.name))?;
        datapath_ports.push(datapath::Port { tap, listener });
    }

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
    let shared = Arc::new(Shared::new(engine));

    let device = Device::new(Arc::clone(&shared), board.bytes());
    thread::Builder::new()
        .name("vfio-user".to_owned())
        .spawn(move || device.serve(vfio_socket))?;
    let control = Control::new(Arc::clone(&shared), Arc::clone(&infos));
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || control.serve(control_socket))?;
    let datapath = Datapath::new(
        shared,
        infos,
        datapath_ports,
        stop,
        options.cpu_queue,
        options.rx_words,
    )?;

    let ready = json!({"event": "ready", "pid": std::process::id()});
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;

    let end = datapath.run();
    info!("stopped");
    end
}
