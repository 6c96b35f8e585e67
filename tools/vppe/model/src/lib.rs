// SPDX-License-Identifier: GPL-2.0-only
//! Model of a router chip's packet processing engine (PPE).
//!
//! The model has no I/O and no threads. Its user gives it three things: register
//! accesses ([`FrameEngine::read`], [`FrameEngine::write`]), frames
//! ([`FrameEngine::process`]) and the passing of time ([`FrameEngine::tick`]).
//! Guest memory is reached through the small trait [`Dma`].
//!
//! What differs between the chips and their generations is data in [`chip::Chip`]; a
//! further generation is a further value in [`chip`].
//!
//! The model is deliberately unkind where a chip is:
//!
//! * an entry that was looked at once (a free one too) stays in the entry cache,
//!   however the table in memory changes, until `CACHE_CTL.CLEAR` goes from 0 to 1;
//! * the age scan reads words of the table at odd moments and takes idle entries
//!   away;
//! * the MIB port stays busy for a while and holds the old value meanwhile;
//! * the timestamp starts shortly before it wraps;
//! * faults can be switched on, see [`Faults`].
//!
//! Every point at which the facts are silent and the model had to choose is
//! marked **Assumption** in the documentation of the item.
#![forbid(unsafe_code)]

pub mod chip;
pub mod csum;
mod dma;
mod engine;
pub mod entry;
mod frame;
pub mod hash;
pub mod packet;
mod ppe;
mod reason;
pub mod regs;

pub use dma::{Dma, DmaError, VecMemory};
pub use engine::{Faults, FrameEngine, Port};
pub use frame::FrameBuf;
pub use ppe::{EntryView, Ppe, PpeStats, TableCount};
pub use reason::CpuReason;

/// Number of a port of the packet switch engine (PSE).
pub type PsePort = u8;

/// What the engine decided about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The frame was rewritten and leaves through this PSE port.
    Forward {
        /// The PSE port the entry names.
        port: PsePort,
    },
    /// The frame goes to the CPU, unmodified.
    ToCpu {
        /// Why.
        reason: CpuReason,
        /// Index of the entry that was found or made, as the receive descriptor has it.
        entry: Option<u32>,
    },
    /// The frame is discarded.
    Drop,
}
