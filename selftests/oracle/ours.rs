// SPDX-License-Identifier: GPL-2.0-only

//! The parser, the encoder and the table of nft_offload, compiled from the very sources of the
//! module, for C to call. `ours.h` says what each function is for.

use core::{
    ffi::c_void,
    hint,
    mem::size_of_val, //
};
use entry::{
    spec,
    Entry,
    Ports,
    NET, //
};
use kernel::prelude::*;
use memory::Registers;

mod bridge;
mod entry;
mod memory;
mod rust;

/// The module's own folder.
#[path = "../../drivers/nft_offload"]
mod nft_offload {
    pub(crate) mod ppe;
    // What only an engine needs is not used here.
    #[allow(dead_code)]
    pub(crate) mod trace;
    #[allow(dead_code)]
    pub(crate) mod translate;
}

// Its sources call each other by these names.
use nft_offload::{
    ppe,
    trace,
    translate, //
};

use ppe::{
    chip,
    flow::Flow,
    flow_rule::parser::RuleParser,
    mapped::MappedHw,
    platform::{
        Clock,
        ConnectionId,
        Storage, //
    },
    reject::Reject,
    spec::Spec,
    table::{
        index_len,
        spares,
        BlockId,
        Event,
        Host,
        Record,
        Table, //
    }, //
};
use rust::{
    flow_rule::FlowRule,
    time, //
};
use trace::Trace;

/// Parses `rule` as the engine does.
fn parse(parser: &mut RuleParser, rule: &FlowRule, ports: &Ports) -> Result<(), Reject> {
    parser.begin();
    translate::feed(parser, rule, NET);
    parser.finish(|ifindex, _| ports.find(ifindex))
}

fn encode(
    spec: &Spec,
    rule: &FlowRule,
    ports: &Ports,
    clock: u32,
    out: &mut Entry,
) -> Result<(), Reject> {
    let mut parser = RuleParser::new(Flow::NONE);
    parse(&mut parser, rule, ports)?;
    out.bind(spec, parser.flow(), clock)
}

#[no_mangle]
extern "C" fn nft_oracle_has_chip(chip: u32) -> bool {
    spec(chip).is_some()
}

/// # Safety
///
/// `rule` and `ports` must point to what their types say, and `out` to room for an entry.
#[no_mangle]
unsafe extern "C" fn nft_oracle_encode(
    chip: u32,
    rule: *const c_void,
    ports: *const Ports,
    clock: u32,
    out: *mut Entry,
) {
    // SAFETY: By the requirements of this function; `FlowRule` is transparent over the C type.
    let (rule, ports) = unsafe { (&*rule.cast::<FlowRule>(), &*ports) };
    // SAFETY: As above; all zero is a valid entry.
    let out = unsafe {
        out.write_bytes(0, 1);
        &mut *out
    };
    let result = match spec(chip) {
        Some(spec) => encode(spec, rule, ports, clock, out),
        None => Err(Reject::EngineDead),
    };
    if let Err(reject) = result {
        out.refuse(reject);
    }
}

/// What the table is made of: the module's own code over memory.
struct Memory {
    trace: Trace,
}

impl Clock for Memory {
    fn now_ms(&self) -> u64 {
        time::now_ms()
    }
}

impl Storage for Memory {
    type Vec<T> = VVec<T>;

    fn filled<T: Clone>(item: T, len: usize) -> Option<VVec<T>> {
        VVec::from_elem(item, len, GFP_KERNEL).ok()
    }
}

impl Host for Memory {
    type Hw = MappedHw<Registers, memory::Words>;

    #[inline(always)]
    fn event(&mut self, event: Event, slot: u16, record: &Record) {
        self.trace.table(event, slot, record);
    }
}

/// A table, and what parses its rules.
struct Bench {
    table: Table<Memory>,
    parser: RuleParser,
    bytes: usize,
}

impl Bench {
    fn new(chip: u32, regs: Registers) -> Result<KBox<Self>> {
        let chip = chip::by_id(chip).ok_or(EINVAL)?;
        let spec = chip.spec();
        let slots = spec.slots();
        let records = VVec::from_elem(Record::EMPTY, slots + spares(slots), GFP_KERNEL)?;
        let index = VVec::from_elem(0u16, index_len(slots), GFP_KERNEL)?;
        let bytes = size_of_val(&records[..]) + size_of_val(&index[..]);
        let hw = MappedHw::new(chip, regs, memory::tables(spec)?).ok_or(EINVAL)?;
        let host = Memory {
            trace: Trace::new(c"bench"),
        };
        Ok(KBox::new(
            Self {
                table: Table::new(host, hw, spec, records, index).ok_or(EINVAL)?,
                parser: RuleParser::new(Flow::NONE),
                bytes,
            },
            GFP_KERNEL,
        )?)
    }
}

/// Whose flows they are.
const OWNER: BlockId = BlockId(1);

/// # Safety
///
/// `regs` must point to `0x4000` bytes that are freed after the table.
#[no_mangle]
unsafe extern "C" fn nft_oracle_table_new(chip: u32, regs: *mut c_void) -> *mut Bench {
    // SAFETY: By the requirement of this function.
    let regs = unsafe { Registers::new(regs.cast()) };
    match Bench::new(chip, regs) {
        Ok(bench) => KBox::into_raw(bench),
        Err(_) => core::ptr::null_mut(),
    }
}

/// # Safety
///
/// `bench` must come from [`nft_oracle_table_new`], and is gone afterwards.
#[no_mangle]
unsafe extern "C" fn nft_oracle_table_free(bench: *mut Bench) {
    // SAFETY: By the requirement of this function.
    drop(unsafe { KBox::from_raw(bench) });
}

/// # Safety
///
/// `bench` must come from [`nft_oracle_table_new`] and be used by one caller at a time; `rule` and
/// `ports` must point to what their types say.
#[no_mangle]
unsafe extern "C" fn nft_oracle_parse(
    bench: *mut Bench,
    rule: *const c_void,
    ports: *const Ports,
) -> bool {
    // SAFETY: By the requirements of this function; `FlowRule` is transparent over the C type.
    let (bench, rule, ports) = unsafe { (&mut *bench, &*rule.cast::<FlowRule>(), &*ports) };
    let parsed = parse(&mut bench.parser, rule, ports).is_ok();
    hint::black_box(&bench.parser);
    parsed
}

/// # Safety
///
/// `bench` must come from [`nft_oracle_table_new`] and be used by one caller at a time; `rule` and
/// `ports` must point to what their types say.
#[no_mangle]
unsafe extern "C" fn nft_oracle_replace(
    bench: *mut Bench,
    cookie: u64,
    rule: *const c_void,
    ports: *const Ports,
) -> bool {
    // SAFETY: By the requirements of this function; `FlowRule` is transparent over the C type.
    let (bench, rule, ports) = unsafe { (&mut *bench, &*rule.cast::<FlowRule>(), &*ports) };
    if parse(&mut bench.parser, rule, ports).is_err() {
        return false;
    }
    let flow = bench.parser.flow();
    bench
        .table
        .replace(OWNER, cookie, ConnectionId::NONE, flow)
        .is_ok()
}

/// # Safety
///
/// `bench` must come from [`nft_oracle_table_new`] and be used by one caller at a time.
#[no_mangle]
unsafe extern "C" fn nft_oracle_destroy(bench: *mut Bench, cookie: u64) -> bool {
    // SAFETY: By the requirement of this function.
    let bench = unsafe { &mut *bench };
    bench.table.destroy(OWNER, cookie).is_some()
}

/// # Safety
///
/// `bench` must come from [`nft_oracle_table_new`] and be used by one caller at a time.
#[no_mangle]
unsafe extern "C" fn nft_oracle_stats(bench: *mut Bench, cookie: u64) -> bool {
    // SAFETY: By the requirement of this function.
    let bench = unsafe { &mut *bench };
    bench.table.stats(OWNER, cookie).is_some()
}

/// # Safety
///
/// `bench` must come from [`nft_oracle_table_new`].
#[no_mangle]
unsafe extern "C" fn nft_oracle_slots(bench: *const Bench) -> u32 {
    // SAFETY: By the requirement of this function.
    unsafe { (*bench).table.capacity() as u32 }
}

/// # Safety
///
/// `bench` must come from [`nft_oracle_table_new`].
#[no_mangle]
unsafe extern "C" fn nft_oracle_memory(bench: *const Bench) -> u64 {
    // SAFETY: By the requirement of this function.
    unsafe { (*bench).bytes as u64 }
}
