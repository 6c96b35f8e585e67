// SPDX-License-Identifier: GPL-2.0-only
//! The emulated engine as a program: the model of a chip as a PCI device over vfio-user,
//! between TAP interfaces (the wires) and a guest's NICs (the CPU).
//!
//! A module uses only modules above it, and those to its left:
//!
//! ```text
//! board pci memory nic port priority socket tap request
//! core cli                         the chip and the guest's memory; the command line
//! device datapath show control     what the threads do
//! bucket ctl run                   the commands
//! ```

pub mod board;
pub mod bucket;
pub mod cli;
pub mod control;
pub mod core;
pub mod ctl;
pub mod datapath;
pub mod device;
pub mod memory;
pub mod nic;
pub mod pci;
pub mod port;
pub mod priority;
pub mod request;
pub mod run;
pub mod show;
pub mod socket;
pub mod tap;
