// SPDX-License-Identifier: GPL-2.0-only
//! A board with the model of a chip, driven by the module's own code for that chip, and frames to
//! send through it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use etherparse::PacketBuilder;
use nft_offload_ppe::{
    chip,
    flow::{Encap, Flow, PsePort, Tuple, L4},
    format::Entry,
    hw::{Hw, Lifecycle},
    mapped::{MappedHw, Memory, MAX_PPES},
    platform::{HwError, Regs, Words},
    spec::Spec,
};
use vppe_model::{chip::Chip, Dma, FrameBuf, FrameEngine, Port, VecMemory, Verdict};

/// Where the board's memory begins.
const MEMORY: u64 = 0x4000_0000;

/// The ports, by their PSE numbers. The third is there on chips with three GDMs only.
pub const PORTS: [u8; 3] = [1, 2, 15];

/// What runs between two accesses of the CPU.
type Meanwhile = Rc<RefCell<Option<Box<dyn Fn()>>>>;

/// The registers of the board.
pub struct BoardRegs {
    engine: Rc<RefCell<FrameEngine>>,
    memory: Rc<VecMemory>,
    accesses: Rc<Cell<u32>>,
    waited_us: Rc<Cell<u32>>,
    unread: Rc<Cell<bool>>,
}

impl Regs for BoardRegs {
    fn read(&self, offset: usize) -> Result<u32, HwError> {
        self.accesses.set(self.accesses.get() + 1);
        if self.unread.get() {
            return Ok(u32::MAX);
        }
        let offset = u32::try_from(offset).map_err(|_| HwError)?;
        Ok(self.engine.borrow_mut().read(&*self.memory, offset))
    }

    fn write(&self, offset: usize, value: u32) -> Result<(), HwError> {
        self.accesses.set(self.accesses.get() + 1);
        let offset = u32::try_from(offset).map_err(|_| HwError)?;
        self.engine.borrow_mut().write(&*self.memory, offset, value);
        Ok(())
    }

    // A read takes a millisecond.
    fn poll(&self, offset: usize, us: u32, done: impl Fn(u32) -> bool) -> Result<u32, HwError> {
        for _ in 0..=us / 1000 {
            let value = self.read(offset)?;
            if done(value) {
                return Ok(value);
            }
        }
        self.waited_us.set(self.waited_us.get() + us);
        Err(HwError)
    }
}

/// A table in the board's memory.
pub struct BoardWords {
    memory: Rc<VecMemory>,
    address: u64,
    words: usize,
    meanwhile: Meanwhile,
    /// Words written that no barrier follows yet: memory has those written later before them.
    late: RefCell<Vec<(usize, u32)>>,
}

impl BoardWords {
    fn store(&self, at: usize, value: u32) -> Result<(), HwError> {
        let stored = self.memory.write_u32(self.at(at)?, value);
        if let Some(meanwhile) = &*self.meanwhile.borrow() {
            meanwhile();
        }
        stored.map_err(|_| HwError)
    }

    fn store_late(&self) -> Result<(), HwError> {
        let mut late = self.late.take().into_iter();
        late.try_for_each(|(at, value)| self.store(at, value))
    }

    fn at(&self, at: usize) -> Result<u64, HwError> {
        if at >= self.words {
            return Err(HwError);
        }
        Ok(self.address + 4 * at as u64)
    }
}

impl Words for BoardWords {
    fn address(&self) -> u64 {
        self.address
    }

    fn read(&self, at: usize) -> Result<u32, HwError> {
        self.memory.read_u32(self.at(at)?).map_err(|_| HwError)
    }

    fn write(&self, at: usize, value: u32) -> Result<(), HwError> {
        self.store(at, value)?;
        self.store_late()
    }

    fn write_all(&self, at: usize, values: &[u32]) -> Result<(), HwError> {
        if let Some(more) = values.len().checked_sub(1) {
            self.at(at + more)?;
        }
        let words = (at..).zip(values.iter().copied());
        self.late.borrow_mut().extend(words);
        Ok(())
    }

    fn write_barrier(&self) {
        self.store_late().expect("the words are in the table");
    }
}

/// A chip's model on a board, and the module's code for the chip.
pub struct Board {
    /// The facts that the module has.
    pub spec: &'static Spec,
    /// What the module runs the engine by.
    pub hw: MappedHw<BoardRegs, BoardWords>,
    /// The frames' way, to be cloned into what happens meanwhile.
    pub wire: Wire,
    accesses: Rc<Cell<u32>>,
    waited_us: Rc<Cell<u32>>,
    unread: Rc<Cell<bool>>,
    meanwhile: Meanwhile,
    ports: Vec<u8>,
}

impl Board {
    /// A board after power-up, whose Ethernet driver has all frames go to the CPU.
    pub fn new(model: &'static Chip) -> Self {
        Self::with_tables(model, model.ppe_bases.len()).expect("the memory is of the chip")
    }

    /// The same with memory for so many PPEs, if the module takes that.
    pub fn with_tables(model: &'static Chip, count: usize) -> Option<Self> {
        let ports: Vec<u8> = PORTS
            .into_iter()
            .filter(|port| model.gdm_ports.contains(port))
            .collect();
        let on_board: Vec<Port> = ports
            .iter()
            .map(|&pse| Port::new(pse, [2, 0, 0, 0, 0, pse]))
            .collect();
        let chip = chip::by_id::<BoardRegs>(model.id).expect("the module knows the chip");
        let spec = chip.spec();
        let entries = usize::from(spec.entries);
        let sizes = [
            entries * spec.format.entry_words(),
            entries * spec.mib_words.max(1),
        ];
        let stride = 4 * (sizes[0] + sizes[1]);
        let memory = Rc::new(VecMemory::new(MEMORY, stride * count));
        let engine = Rc::new(RefCell::new(FrameEngine::new(model, &on_board)));
        let (accesses, waited_us) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let unread = Rc::new(Cell::new(false));
        let meanwhile = Meanwhile::default();
        let regs = BoardRegs {
            engine: engine.clone(),
            memory: memory.clone(),
            accesses: accesses.clone(),
            waited_us: waited_us.clone(),
            unread: unread.clone(),
        };
        let mut tables = [const { None }; MAX_PPES];
        for (ppe, table) in tables.iter_mut().take(count).enumerate() {
            let address = MEMORY + (ppe * stride) as u64;
            let words = |address, words| BoardWords {
                memory: memory.clone(),
                address,
                words,
                meanwhile: meanwhile.clone(),
                late: RefCell::default(),
            };
            *table = Some(Memory {
                entries: words(address, sizes[0]),
                mib: words(address + 4 * sizes[0] as u64, sizes[1]),
            });
        }
        let this = Self {
            spec,
            hw: MappedHw::new(chip, regs, tables)?,
            wire: Wire { engine, memory },
            accesses,
            waited_us,
            unread,
            meanwhile,
            ports,
        };
        for at in this.forward_registers() {
            this.set_register(at, this.register(at) & !0xffff);
        }
        Some(this)
    }

    /// The same, started.
    pub fn started(model: &'static Chip) -> Self {
        let mut this = Self::new(model);
        this.start().expect("it starts");
        this
    }

    /// Starts the engine with all ports.
    pub fn start(&mut self) -> Result<(), HwError> {
        let ports = self.ports.clone();
        self.hw.start(ports.into_iter().map(PsePort))
    }

    /// Starts it again.
    pub fn restart(&mut self) -> Result<(), HwError> {
        let ports = self.ports.clone();
        self.hw.restart(ports.into_iter().map(PsePort))
    }

    /// The ports of the board.
    pub fn ports(&self) -> &[u8] {
        &self.ports
    }

    /// Accesses to registers since the last call.
    pub fn accesses(&self) -> u32 {
        self.accesses.take()
    }

    /// Microseconds that were waited in vain since the last call.
    pub fn waited_us(&self) -> u32 {
        self.waited_us.take()
    }

    /// From now on the module reads all ones, or what there is; what it writes arrives.
    pub fn set_unread(&self, unread: bool) {
        self.unread.set(unread);
    }

    /// Runs `what` after each word that is written into a table.
    pub fn meanwhile(&self, what: impl Fn() + 'static) {
        *self.meanwhile.borrow_mut() = Some(Box::new(what));
    }

    /// A register, read without the module's code.
    pub fn register(&self, offset: u32) -> u32 {
        let mut engine = self.wire.engine.borrow_mut();
        engine.read(&*self.wire.memory, offset)
    }

    /// Sets a register without the module's code.
    pub fn set_register(&self, offset: u32, value: u32) {
        let mut engine = self.wire.engine.borrow_mut();
        engine.write(&*self.wire.memory, offset, value);
    }

    /// Where the forward registers of the ports are.
    pub fn forward_registers(&self) -> Vec<u32> {
        let engine = self.wire.engine.borrow();
        let regs = engine.chip().gdm_regs.iter();
        regs.take(self.ports.len()).copied().collect()
    }

    /// The forward registers.
    pub fn forwards(&self) -> Vec<u32> {
        let registers = self.forward_registers().into_iter();
        registers.map(|at| self.register(at)).collect()
    }

    /// PPEs that look up frames.
    pub fn enabled(&self) -> usize {
        let engine = self.wire.engine.borrow();
        engine.ppes().iter().filter(|ppe| ppe.enabled()).count()
    }

    /// The first slot that the format has for `flow`.
    pub fn slot(&self, flow: &Flow) -> u16 {
        let part = self.spec.caps.ppe_of(flow.ingress.port) as u16;
        let slots = self.spec.format.slots(flow, self.spec.entries.into());
        part * self.spec.entries + slots.into_iter().next().expect("there is one")
    }

    /// The entry of `flow`.
    pub fn entry(&self, flow: &Flow) -> Entry {
        let now = self.wire.engine.borrow().now();
        let entry = self.spec.format.encode(flow, now as u16);
        entry.expect("the chip has an entry for it")
    }

    /// Commits `flow` to its first slot, which is returned.
    pub fn bind(&mut self, flow: &Flow) -> u16 {
        let (slot, entry) = (self.slot(flow), self.entry(flow));
        self.hw.commit(slot, &entry).expect("it is committed");
        slot
    }

    /// Takes the entry of a slot away.
    pub fn unbind(&mut self, slot: u16) {
        self.hw.invalidate(slot).expect("it is invalidated");
        self.hw.clear_cache(slot).expect("the cache is cleared");
    }

    /// Switches a fault of the engine; `count` as for
    /// [`Faults::set`](vppe_model::Faults::set).
    pub fn fault(&self, name: &str, on: bool, count: u32) {
        let mut engine = self.wire.engine.borrow_mut();
        assert!(engine.faults.set(name, on, count), "{name}: no such fault");
    }
}

/// The side of the board that frames see.
#[derive(Clone)]
pub struct Wire {
    /// The model.
    pub engine: Rc<RefCell<FrameEngine>>,
    /// Its memory.
    pub memory: Rc<VecMemory>,
}

impl Wire {
    /// What becomes of a frame that arrives at `flow`'s port, and how it looks then.
    pub fn send(&self, flow: &Flow, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buf = FrameBuf::from_frame(frame);
        let mut engine = self.engine.borrow_mut();
        let verdict = engine.process(&*self.memory, flow.ingress.port.0, &mut buf);
        (verdict, buf.frame().to_vec())
    }

    /// Whether a frame of `flow` leaves without the CPU, as `flow` says.
    pub fn forwards(&self, flow: &Flow) -> bool {
        let (verdict, out) = self.send(flow, &frame(flow, 64));
        let Verdict::Forward { port } = verdict else {
            return false;
        };
        assert_eq!(port, flow.egress.port.0);
        assert_eq!(out[..6], flow.dmac);
        assert_eq!(out[6..12], flow.smac);
        if let Tuple::V4 {
            src,
            dst,
            sport,
            dport,
        } = flow.new
        {
            let ip = out.len() - frame(flow, 64).len() + 14;
            assert_eq!(out[ip + 12..ip + 16], src);
            assert_eq!(out[ip + 16..ip + 20], dst);
            assert_eq!(out[ip + 20..ip + 22], sport.to_be_bytes());
            assert_eq!(out[ip + 22..ip + 24], dport.to_be_bytes());
        }
        true
    }

    /// Lets the age scan see the whole table at time `now`, in seconds.
    pub fn pass(&self, now: u32) {
        let mut engine = self.engine.borrow_mut();
        engine.set_time(now);
        engine.tick(&*self.memory, u32::from(u16::MAX));
    }
}

/// Any number of UDP flows with source NAT from the first port to the second.
pub fn flow(n: u16) -> Flow {
    let [a, b] = n.to_be_bytes();
    Flow {
        ingress: PsePort(1).into(),
        egress: PsePort(2).into(),
        l4: L4::Udp,
        tuple: Tuple::V4 {
            src: [192, 168, a, b],
            dst: [198, 51, 100, 7],
            sport: 40_000,
            dport: 5201,
        },
        new: Tuple::V4 {
            src: [203, 0, 113, 1],
            dst: [198, 51, 100, 7],
            sport: 1024 + n,
            dport: 5201,
        },
        smac: [2, 0, 0, 0, 1, 2],
        dmac: [2, 0, 0, 0, 2, 2],
        in_encap: Encap::NONE,
        out_encap: Encap::NONE,
        routed: true,
    }
}

/// The same of IPv6, routed.
pub fn flow6(n: u16) -> Flow {
    let address = |net, host: u16| {
        let mut address = [0x20, 1, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        address[14..].copy_from_slice(&host.to_be_bytes());
        address
    };
    let tuple = Tuple::V6 {
        src: address(1, n),
        dst: address(2, 7),
        sport: 40_000,
        dport: 5201,
    };
    Flow {
        tuple,
        new: tuple,
        ..flow(n)
    }
}

/// A frame of `flow`, as it arrives, with `payload` bytes behind the UDP or TCP header.
pub fn frame(flow: &Flow, payload: usize) -> Vec<u8> {
    let eth = PacketBuilder::ethernet2([2, 0, 0, 0, 9, 9], [2, 0, 0, 0, 0, flow.ingress.port.0]);
    let ip = match flow.tuple {
        Tuple::V4 { src, dst, .. } => eth.ipv4(src, dst, 64),
        Tuple::V6 { src, dst, .. } => eth.ipv6(src, dst, 64),
    };
    let (sport, dport) = flow.tuple.ports();
    let mut bytes = Vec::new();
    let payload = vec![0x5a; payload];
    let written = match flow.l4 {
        L4::Udp => ip.udp(sport, dport).write(&mut bytes, &payload),
        L4::Tcp => ip
            .tcp(sport, dport, 7, 1000)
            .ack(1)
            .write(&mut bytes, &payload),
    };
    written.expect("memory takes all");
    bytes
}
