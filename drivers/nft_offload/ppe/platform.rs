// SPDX-License-Identifier: GPL-2.0-only

//! What a glue gives to the core: the engine's registers, the memory that it shares with the
//! engine, and time.
//!
//! All is called with the engine's lock held, or before anybody else has the engine, in process
//! context.

use core::ops::DerefMut;

use super::{
    count::Count,
    flow::Flow, //
};

/// The engine does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HwError;

/// A block of 32-bit registers. Offsets are in bytes, values in host byte order.
///
/// An access fails with [`HwError`] where there is no register, or no device any more.
pub trait Regs: 'static {
    /// Reads a register.
    fn read(&self, offset: usize) -> Result<u32, HwError>;
    /// Writes a register. The engine sees all [`Words`] that were written before, first.
    fn write(&self, offset: usize, value: u32) -> Result<(), HwError>;
    /// Reads a register until `done` says so of its value, which is returned. May sleep between
    /// two reads. Fails after `timeout_us` microseconds, but not before a read after that time.
    fn poll(
        &self,
        offset: usize,
        timeout_us: u32,
        done: impl Fn(u32) -> bool,
    ) -> Result<u32, HwError>;
}

/// Memory that the engine and the CPU both read and write, in 32-bit words in host byte order.
/// The engine may write any word at any time.
///
/// An access fails with [`HwError`] beyond the end.
pub trait Words {
    /// The address under which the engine sees the first word.
    fn address(&self) -> u64;
    /// Reads a word.
    fn read(&self, at: usize) -> Result<u32, HwError>;
    /// Writes a word.
    fn write(&self, at: usize, value: u32) -> Result<(), HwError>;
    /// Writes the words from `at` on, in order, or none of them.
    fn write_all(&self, at: usize, values: &[u32]) -> Result<(), HwError>;
    /// The engine sees the words that were written before this call before those that are written
    /// after it.
    fn write_barrier(&self);
}

/// Time.
pub trait Clock {
    /// Milliseconds since any fixed point, never less than before.
    fn now_ms(&self) -> u64;
}

/// Storage for many of a kind. All of it is asked for when an engine is made.
pub trait Storage {
    /// As many as there were at first.
    type Vec<T>: DerefMut<Target = [T]>;

    /// So many copies of `item`. `None` if there is no memory.
    fn filled<T: Clone>(item: T, len: usize) -> Option<Self::Vec<T>>;
}

/// Names one direction of a connection, and keeps nothing alive.
///
/// A flow of a flowtable holds its connection, so between REPLACE and DESTROY no other one can have
/// the id of the flow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    /// A number that no other direction has while the connection exists; 0 if there is none.
    pub id: u64,
    /// The zone in which the connection is found, as the kernel has it.
    pub zone: u32,
}

impl ConnectionId {
    /// No connection.
    pub const NONE: Self = Self { id: 0, zone: 0 };
}

/// What passed in one direction of a connection that only the engine saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// What the counters of the direction do not have yet.
    pub uncounted: Count,
    /// Whether there was more than one packet.
    pub several: bool,
    /// Time of the last packet.
    pub last_used_ms: u64,
}

/// The connections that the kernel tracks.
pub trait Conntrack {
    /// A network namespace.
    type Net: ?Sized;

    /// The id of the direction that `flow` is in a zone.
    fn find(&self, net: &Self::Net, zone: u32, flow: &Flow) -> Option<u64>;
    /// Adds to the counters of the direction that `flow` is, and to what is known of its
    /// connection. Returns whether there is one of this name.
    fn account(
        &self,
        net: &Self::Net,
        flow: &Flow,
        connection: ConnectionId,
        passed: &Passed,
    ) -> bool;
    /// Whether the direction with this id is that of the replies.
    fn is_reply(id: u64) -> bool;
}
