// SPDX-License-Identifier: GPL-2.0-only

//! One engine: its ports, its flows, and the flowtables that brought them.
//!
//! Locking: everything that changes is behind [`Engine::state`], a mutex that nests inside `RTNL`,
//! `flow_indr_block_lock`, `flow_block_lock` and the list of [`Engine::devices`]. Conntrack is called
//! with it held.

use crate::{
    audit,
    bridge::{
        Bridge,
        Worker, //
    },
    debugfs,
    guard::{
        Guarded,
        Guarding, //
    },
    moved::{
        self,
        EndedEarly,
        Known,
        Teller, //
    },
    parse,
    platform::Kernel,
    policy::Policy,
    ppe::{
        chip::Chip,
        count::Count,
        flow::{
            DsaPort,
            DsaTag,
            Endpoint,
            Flow,
            PsePort,
            Tuple, //
        },
        hw::Hw,
        mapped::{
            MappedHw,
            Memory,
            DEFAULT_MTU,
            MAX_PPES, //
        },
        platform::HwError,
        refusals::{
            Last,
            Refusals, //
        },
        reject::{
            ErrnoClass,
            Reject, //
        },
        spec::Spec,
        table::{
            index_len,
            spares,
            Owner,
            Record,
            Removal,
            Replaced,
            Table,
            TableStats, //
        }, //
    },
    refused,
    rust::{
        conntrack::{
            self,
            Addresses,
            Connection, //
        },
        debugfs::Dir,
        dma::WordTable,
        dsa,
        flow_offload::{
            self,
            BlockOps,
            Cookie,
            Devices,
            Filter,
            FlowTable,
            FlowTableId,
            Refused, //
        },
        flow_rule::FlowRule,
        mmio::Registers,
        moves,
        netdev::{
            Event,
            Name,
            Net,
            NetDevice,
            NetId,
            NotifierRegistration,
            Notify,
            Rtnl, //
        },
        pci::BusMaster,
        time, //
    },
    shaped::{
        Looking,
        Shaped, //
    },
    trace::Trace, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// Places for the last flows that were refused.
const REFUSED: usize = 256;

/// A port of the engine, and the network device that is behind it.
pub(crate) struct Port {
    /// The engine's number of the port.
    pub(crate) pse: PsePort,
    /// The permanent address of its device.
    pub(crate) mac: [u8; 6],
    /// The device, once there is one.
    pub(crate) dev: Option<PortDevice>,
    /// Flows that leave here in a PPPoE session were offered since the last PPP link ended.
    sessions: bool,
}

/// What is known of the network device of a port.
#[derive(Clone, Copy)]
pub(crate) struct PortDevice {
    ifindex: i32,
    net: NetId,
    mtu: u32,
    /// The name it has.
    pub(crate) name: Name,
    /// Whether it is up and has a carrier.
    pub(crate) up: bool,
}

impl PortDevice {
    /// What `dev` is after `event`.
    fn new(dev: &NetDevice, event: Event) -> Self {
        Self {
            ifindex: dev.ifindex(),
            net: dev.net().id(),
            mtu: dev.mtu(),
            name: dev.copy_name(),
            // A device that is going down still says it is running.
            up: event != Event::Down && dev.forwards(),
        }
    }

    fn is(&self, ifindex: i32, net: NetId) -> bool {
        self.ifindex == ifindex && self.net == net
    }
}

impl Port {
    /// A port without device.
    pub(crate) fn new(pse: PsePort, mac: [u8; 6]) -> Self {
        Self {
            pse,
            mac,
            dev: None,
            sessions: false,
        }
    }

    fn is(&self, ifindex: i32, net: NetId) -> bool {
        self.dev.is_some_and(|dev| dev.is(ifindex, net))
    }

    /// The namespace of its device.
    pub(crate) fn net(&self) -> Option<NetId> {
        self.dev.map(|dev| dev.net)
    }
}

/// A port of an Ethernet switch (DSA user port), behind a port of whatever engine.
pub(crate) struct SwitchPort {
    /// Its device.
    pub(crate) dev: PortDevice,
    user: dsa::UserPort,
}

impl SwitchPort {
    /// Where that is, if it is behind one of `ports`.
    pub(crate) fn endpoint(&self, ports: &[Port]) -> Option<Endpoint> {
        const { assert!(dsa::TAG_MTK == DsaTag::MTK.0) };
        let user = &self.user;
        let conduit = ports.iter().find(|port| port.is(user.conduit, user.net))?;
        Some(Endpoint {
            port: conduit.pse,
            dsa: Some(DsaPort {
                tag: DsaTag(user.tag),
                number: user.number,
            }),
        })
    }
}

/// Whether frames can pass there: at a port of a switch, through both it and the conduit.
pub(crate) fn is_up(ports: &[Port], switch_ports: &[SwitchPort], at: Endpoint) -> bool {
    let port_up = ports
        .iter()
        .any(|port| port.pse == at.port && port.dev.is_some_and(|dev| dev.up));
    let is_at = |port: &SwitchPort| port.endpoint(ports) == Some(at);
    port_up && (at.dsa.is_none() || switch_ports.iter().any(|port| port.dev.up && is_at(port)))
}

/// The ports as a rule of a flowtable in one namespace sees them.
pub(crate) struct PortsIn<'a> {
    pub(crate) ports: &'a [Port],
    pub(crate) switch_ports: &'a [SwitchPort],
    pub(crate) net: NetId,
}

impl PortsIn<'_> {
    fn find(&self, ifindex: i32, net: NetId) -> Option<Endpoint> {
        if let Some(port) = self.ports.iter().find(|port| port.is(ifindex, net)) {
            return Some(port.pse.into());
        }
        self.switch_ports
            .iter()
            .find(|port| port.dev.is(ifindex, net))?
            .endpoint(self.ports)
    }
}

impl parse::Ports for PortsIn<'_> {
    fn by_ifindex(&self, ifindex: i32) -> Option<Endpoint> {
        self.find(ifindex, self.net)
    }

    fn by_device(&self, dev: &NetDevice) -> Option<Endpoint> {
        self.find(dev.ifindex(), dev.net().id())
    }
}

/// A flowtable that has at least one of our ports.
pub(crate) struct Block {
    table: FlowTableId,
    pub(crate) owner: Owner,
    /// Its bindings, in the order they came, and their ports. A rule arrives once for each of
    /// them; the first one handles it, so that everything counts once.
    bindings: KVec<(u64, PsePort)>,
}

/// A device bound to a flowtable, or to rules of tc.
pub(crate) struct Binding {
    id: u64,
    pub(crate) owner: Owner,
    pub(crate) port: PsePort,
    counter: bool,
    /// Whether it is to rules of tc. Each such binding is an owner of its own.
    ingress: bool,
}

/// What was done, by counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Rules offered, each refresh of a flow included.
    pub(crate) offered: u64,
    /// Rules refused.
    pub(crate) rejected: u64,
    /// Flows that ended by the kernel's word.
    pub(crate) destroyed: u64,
    /// Flows taken out because flowtable, device or engine went away.
    pub(crate) flushed: u64,
    /// Packets and layer-3 bytes forwarded by the engine, as far as they were read.
    pub(crate) forwarded: Count,
    /// Of these, what the kernel never asked for and was handed to conntrack at the flow's end.
    pub(crate) tail: Count,
    /// Flows whose remainder could not be handed to conntrack: it did not know them any more.
    pub(crate) tail_lost: u64,
    /// Devices in flowtables that are no port of this engine.
    pub(crate) foreign_devices: u64,
    /// Changes of neighbours, stations and routes that were told.
    pub(crate) moves: u64,
    /// Times when more came than could wait, so that all flows had to start again.
    pub(crate) moves_lost: u64,
    /// Flows taken out because their way had changed.
    pub(crate) moved: u64,
    /// Times the engine stopped answering.
    pub(crate) quarantined: u64,
    /// Times it was started again.
    pub(crate) restarted: u64,
}

impl Counters {
    /// Adds what the engine has forwarded.
    pub(crate) fn forward(&mut self, count: Count) {
        self.forwarded.packets += count.packets;
        self.forwarded.bytes += count.bytes;
    }

    /// Hands what the kernel will not ask for any more to conntrack.
    fn settle(&mut self, net: Option<&Net>, removed: &Record) {
        let Count { packets, bytes } = removed.unreported;
        self.forward(removed.unreported);
        // Flows of flowtables without `counter` have no tag.
        if removed.tag == 0 || packets == 0 {
            return;
        }
        match net.and_then(|net| Connection::find(net, conntrack_tuple(&removed.flow))) {
            Some(ct) if ct.id().to_u64() == removed.tag => {
                ct.account(packets, bytes);
                self.tail.packets += packets;
                self.tail.bytes += bytes;
            }
            _ => self.tail_lost += 1,
        }
    }
}

/// Memory for the tables of all PPEs. Each is allocated by itself, as memory for those of several
/// at once would be hard to get.
fn memory(dev: &Device<Bound>, spec: &Spec) -> Result<[Option<Memory<WordTable>>; MAX_PPES]> {
    let mut memory = [const { None }; MAX_PPES];
    let entries = usize::from(spec.entries);
    for memory in memory.iter_mut().take(spec.caps.parts()) {
        *memory = Some(Memory {
            entries: WordTable::new(dev, entries * spec.format.entry_words())?,
            mib: WordTable::new(dev, entries * spec.mib_words.max(1))?,
        });
    }
    Ok(memory)
}

/// What changes, under the engine's lock.
pub(crate) struct State {
    pub(crate) table: Table<Kernel>,
    /// Where a rule is parsed to.
    flow: Flow,
    pub(crate) bridge: Bridge,
    pub(crate) shaped: Shaped,
    pub(crate) ports: KVec<Port>,
    /// Every user port that there is.
    pub(crate) switch_ports: KVec<SwitchPort>,
    pub(crate) blocks: KVec<Block>,
    next_id: u64,
    pub(crate) counters: Counters,
    pub(crate) audits: audit::Runs,
    pub(crate) refusals: Refusals<VVec<Option<Last<Name>>>>,
    /// New flows are kept in software.
    pub(crate) paused: bool,
    pub(crate) policy: Policy,
    pub(crate) neighbours: Known,
    pub(crate) ended: EndedEarly,
    pub(crate) guarded: Guarded,
}

impl State {
    /// No entry of the table is valid after that, whether the engine answers or not.
    fn invalidate_all(&mut self) {
        let slots = self.table.capacity();
        for slot in (0..=u16::MAX).take(slots) {
            let _ = self.table.hw.invalidate(slot);
        }
        self.table.gone();
    }

    /// Whether the engine runs as it was started, see [`MappedHw::check`].
    pub(crate) fn check(&mut self) -> Result<bool, HwError> {
        self.table.hw.check()
    }

    /// Starts the engine again, empty.
    pub(crate) fn restart(&mut self) -> Result<(), HwError> {
        self.invalidate_all();
        let ports = self.ports.iter().map(|port| port.pse);
        self.table.hw.restart(ports)?;
        self.counters.restarted += 1;
        self.update_mtu();
        Ok(())
    }

    /// Whether the engine answers.
    pub(crate) fn alive(&self) -> bool {
        self.table.hw.is_alive()
    }

    /// The table's own counters.
    pub(crate) fn table_stats(&self) -> &TableStats {
        self.table.table_stats()
    }

    /// Number of flowtables that are bound.
    pub(crate) fn flowtables(&self) -> usize {
        self.blocks.len()
    }

    /// Reads entry `slot` of the hardware into `words`, and the counters of the flow that has it.
    pub(crate) fn read_slot(&mut self, slot: u16, words: &mut [u32]) -> Count {
        let _ = self.table.hw.read_entry(slot, words);
        self.look_at(slot)
            .map_or(Count::default(), |record| record.total)
    }

    /// The flow that has the slot or place `at`, with the counters of the hardware. Reporting
    /// nothing, this takes no count from conntrack.
    pub(crate) fn look_at(&mut self, at: u16) -> Option<Record> {
        if self.alive() && self.table.get(at).is_some() {
            self.table.harvest(at);
        }
        self.table.get(at).copied()
    }

    /// Reads word 0 of entry `slot` of the hardware.
    pub(crate) fn read_word0(&mut self, slot: u16) -> u32 {
        self.table.hw.read_word0(slot).unwrap_or(0)
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// An owner that there never was.
    pub(crate) fn new_owner(&mut self) -> Result<Owner> {
        // Numbers are given out by BIND and for rules, of which there are far less than 2^32 ever.
        Ok(Owner(u32::try_from(self.new_id()).map_err(|_| EOVERFLOW)?))
    }

    /// Counts a reason for which something that is no flow of a flowtable got no entry.
    pub(crate) fn count_reject(&mut self, reject: Reject) {
        self.refusals.count(reject, time::now_ms());
    }

    /// The owner of the flows of a flowtable.
    pub(crate) fn owner_of(&self, table: FlowTableId) -> Option<Owner> {
        let mut blocks = self.blocks.iter();
        Some(blocks.find(|block| block.table == table)?.owner)
    }

    /// Number of flowtables that the device of a port is bound to.
    pub(crate) fn flowtables_of(&self, port: PsePort) -> usize {
        let has = |block: &&Block| block.bindings.iter().any(|(_, at)| *at == port);
        self.blocks.iter().filter(has).count()
    }

    /// The place that has a device of this name.
    pub(crate) fn endpoint(&self, name: &str) -> Option<Endpoint> {
        let is = |dev: &PortDevice| dev.name.is(name);
        let mut ports = self.ports.iter();
        if let Some(port) = ports.find(|port| port.dev.as_ref().is_some_and(is)) {
            return Some(port.pse.into());
        }
        let mut switch_ports = self.switch_ports.iter();
        let port = switch_ports.find(|port| is(&port.dev))?;
        port.endpoint(&self.ports)
    }

    /// The name of the device at a place.
    pub(crate) fn device_at(&self, at: Endpoint) -> Option<Name> {
        if at.dsa.is_some() {
            let is_at = |port: &&SwitchPort| port.endpoint(&self.ports) == Some(at);
            return Some(self.switch_ports.iter().find(is_at)?.dev.name);
        }
        let port = self.ports.iter().find(|port| port.pse == at.port)?;
        Some(port.dev?.name)
    }

    /// Whether `binding` is the one that handles the rules of its flowtable.
    fn is_first(&self, binding: &Binding) -> bool {
        self.blocks
            .iter()
            .find(|block| block.owner == binding.owner)
            .and_then(|block| block.bindings.first())
            .is_some_and(|(id, _)| *id == binding.id)
    }

    /// The ports, as they are seen from `net`.
    pub(crate) fn ports_in(&self, net: NetId) -> PortsIn<'_> {
        PortsIn {
            ports: &self.ports,
            switch_ports: &self.switch_ports,
            net,
        }
    }

    fn is_up(&self, at: Endpoint) -> bool {
        is_up(&self.ports, &self.switch_ports, at)
    }

    /// The largest packet that every port takes. A conduit's MTU has room for the tag.
    fn mtu(&self) -> u32 {
        let behind = |port: &&SwitchPort| port.endpoint(&self.ports).is_some();
        let switch_ports = self.switch_ports.iter().filter(behind).map(|port| port.dev);
        let ports = self.ports.iter().filter_map(|port| port.dev);
        Iterator::chain(ports, switch_ports)
            .map(|dev| dev.mtu)
            .min()
            .unwrap_or(DEFAULT_MTU)
    }

    fn update_mtu(&mut self) {
        let mtu = self.mtu();
        let _ = self.table.hw.set_mtu(mtu);
    }

    /// A device in `net` by which flows were sent in a PPPoE session since it was last asked for.
    fn take_session_port(&mut self, net: NetId) -> Option<i32> {
        self.ports.iter_mut().find_map(|port| {
            let dev = port.dev.filter(|dev| dev.net == net)?;
            core::mem::take(&mut port.sessions).then_some(dev.ifindex)
        })
    }

    /// Takes the flows out for which `pred` holds. `net` is the namespace they are in. Returns
    /// how many they were.
    pub(crate) fn flush(&mut self, net: &Net, pred: impl Fn(&Record) -> bool) -> usize {
        self.flush_as(Removal::Flows, net, pred)
    }

    /// As [`State::flush`], with what `removal` says.
    pub(crate) fn flush_as(
        &mut self,
        removal: Removal,
        net: &Net,
        pred: impl Fn(&Record) -> bool,
    ) -> usize {
        self.remove(removal, Some(net), &|_, record| pred(record))
    }

    /// As [`State::flush`], for flows that tc's rules have brought.
    pub(crate) fn flush_subflows(&mut self, pred: impl Fn(&Record) -> bool) -> usize {
        let pred = |blocks: &[Block], record: &Record| {
            !blocks.iter().any(|block| block.owner == record.owner) && pred(record)
        };
        self.remove(Removal::Flows, None, &pred)
    }

    fn remove(
        &mut self,
        removal: Removal,
        net: Option<&Net>,
        // One copy of this is enough.
        pred: &dyn Fn(&[Block], &Record) -> bool,
    ) -> usize {
        let mut removed = 0;
        let blocks = &self.blocks;
        let (counters, rules) = (&mut self.counters, &mut self.bridge.rules);
        self.table.remove(
            removal,
            |record| pred(blocks, record),
            |record| {
                removed += 1;
                counters.flushed += 1;
                counters.settle(net, record);
                rules.forget(record);
            },
        );
        removed
    }
}

/// The tuple by which conntrack knows the direction that `flow` is.
pub(crate) fn conntrack_tuple(flow: &Flow) -> conntrack::Tuple {
    let (sport, dport) = flow.tuple.ports();
    conntrack::Tuple {
        addrs: match flow.tuple {
            Tuple::V4 { src, dst, .. } => Addresses::V4 { src, dst },
            Tuple::V6 { src, dst, .. } => Addresses::V6 { src, dst },
        },
        protocol: flow.l4.ip_proto(),
        sport,
        dport,
    }
}

/// An engine.
#[pin_data]
pub(crate) struct Engine {
    /// The device it was found on.
    pub(crate) dev: ARef<Device>,
    /// The chip.
    pub(crate) spec: &'static Spec,
    /// The bus it was found on.
    pub(crate) bus: &'static str,
    /// Dropped before the tables, which an engine that could not be stopped may still access.
    _master: BusMaster,
    /// See the module's documentation.
    #[pin]
    pub(crate) state: Mutex<State>,
    /// The devices that were taken. Not to be asked with the lock of `state` held.
    pub(crate) devices: Arc<Devices<Self>>,
}

impl Engine {
    fn new(
        dev: &Device<Bound>,
        chip: &'static dyn Chip<Registers>,
        regs: Registers,
        ports: KVec<Port>,
        bus: &'static str,
        master: BusMaster,
    ) -> Result<Arc<Self>> {
        let spec = chip.spec();
        let slots = spec.slots();
        let records = slots + spares(slots);
        let policy = Policy::of_parameters();
        let mut table = Table::new(
            Kernel {
                trace: Trace::new(dev.name()),
            },
            MappedHw::new(chip, regs, memory(dev, spec)?).ok_or(EINVAL)?,
            spec,
            VVec::from_elem(Record::EMPTY, records, GFP_KERNEL)?,
            VVec::from_elem(0u16, index_len(slots), GFP_KERNEL)?,
        )
        .ok_or(EINVAL)?;
        table.set_limit(policy.limit(slots));
        let refusals = Refusals::new(VVec::from_elem(None, REFUSED, GFP_KERNEL)?);

        let bridge = Bridge::new()?;

        Arc::pin_init(
            try_pin_init!(Self {
                dev: dev.into(),
                spec,
                bus,
                _master: master,
                devices: Devices::new()?,
                state <- new_mutex!(
                    State {
                        table,
                        flow: Flow::NONE,
                        bridge,
                        shaped: Shaped::new(),
                        ports,
                        switch_ports: KVec::new(),
                        blocks: KVec::new(),
                        next_id: 0,
                        counters: Counters::default(),
                        audits: audit::Runs::default(),
                        refusals,
                        paused: false,
                        policy,
                        neighbours: moved::nobody()?,
                        ended: moved::none_ended()?,
                        guarded: Guarded::new(),
                    },
                    "nft_offload::Engine"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Starts it. Whoever does so keeps a [`Running`] from then on.
    fn start(&self) -> Result {
        let mut state = self.state.lock();
        let State { table, ports, .. } = &mut *state;
        let ports = ports.iter().map(|port| port.pse);
        table.hw.start(ports).map_err(|_| no_answer(&self.dev))
    }

    /// Runs `f` with the state. If the engine stopped answering meanwhile, it is put into
    /// quarantine: no entry of its table stays valid, and it is not asked again.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let alive = state.alive();
        let result = f(&mut state);
        if alive && !state.alive() {
            state.counters.quarantined += 1;
            state.table.host.trace.quarantine(self.spec.name);
            dev_err!(
                self.dev,
                "the {} engine does not answer any more: its flows go on in software\n",
                self.spec.name
            );
            state.invalidate_all();
        }
        result
    }

    fn offer(
        state: &mut State,
        binding: &Binding,
        net: &Net,
        cookie: Cookie,
        rule: &FlowRule,
    ) -> Result<Replaced, Reject> {
        if state.ended.take(binding.owner, cookie.0) {
            return Err(Reject::Ended);
        }
        if !state.alive() {
            return Err(Reject::EngineDead);
        }
        let ports = PortsIn {
            ports: &state.ports,
            switch_ports: &state.switch_ports,
            net: net.id(),
        };
        if let Err(refusal) = parse::parse(rule, &ports, &mut state.flow) {
            if let Some(key) = refusal.opposite {
                state.table.refuse(binding.owner, &key);
            }
            return Err(refusal.reject);
        }
        let flow = &state.flow;
        if flow.out_encap.pppoe.is_some() {
            let egress = flow.egress.port;
            if let Some(port) = state.ports.iter_mut().find(|port| port.pse == egress) {
                port.sessions = true;
            }
        }
        if !state.is_up(flow.ingress) || !state.is_up(flow.egress) {
            return Err(Reject::PortDown);
        }
        state.policy.admit(flow)?;
        state.shaped.check(flow)?;
        if state.paused && state.table.find(binding.owner, cookie.0).is_none() {
            return Err(Reject::Paused);
        }
        let tag = if binding.counter {
            Connection::find(net, conntrack_tuple(flow))
                .filter(Connection::is_offloaded)
                .map_or(0, |ct| ct.id().to_u64())
        } else {
            0
        };
        state.table.replace(binding.owner, cookie.0, tag, flow)
    }
}

#[vtable]
impl BlockOps for Engine {
    type Binding = Binding;

    fn bind(&self, dev: &NetDevice, table: &FlowTable) -> Result<Binding> {
        self.with(|state| {
            let net = dev.net().id();
            let ifindex = dev.ifindex();
            let Some(port) = state.ports.iter().find(|port| port.is(ifindex, net)) else {
                state.counters.foreign_devices += 1;
                return Err(flow_offload::not_supported());
            };
            let port = port.pse;

            let id = state.new_id();
            let known = state
                .blocks
                .iter()
                .position(|block| block.table == table.id());
            let owner = match known.and_then(|index| state.blocks.get_mut(index)) {
                Some(block) => {
                    block.bindings.push((id, port), GFP_KERNEL)?;
                    block.owner
                }
                None => {
                    let owner = state.new_owner()?;
                    let mut bindings = KVec::new();
                    bindings.push((id, port), GFP_KERNEL)?;
                    state.blocks.push(
                        Block {
                            table: table.id(),
                            owner,
                            bindings,
                        },
                        GFP_KERNEL,
                    )?;
                    owner
                }
            };
            state.look_for_shapers(&self.dev);
            state.shaped.request();
            Ok(Binding {
                id,
                owner,
                port,
                counter: table.has_counter(),
                ingress: false,
            })
        })
    }

    fn bind_ingress(&self, dev: &NetDevice) -> Result<Binding> {
        self.with(|state| {
            let (ifindex, net) = (dev.ifindex(), dev.net().id());
            let port = state.ports.iter().find(|port| port.is(ifindex, net));
            let port = port.ok_or_else(flow_offload::not_supported)?.pse;
            let owner = state.new_owner()?;
            Ok(Binding {
                id: owner.0.into(),
                owner,
                port,
                counter: false,
                ingress: true,
            })
        })
    }

    fn unbind(&self, binding: &Binding, net: &Net) {
        self.with(|state| {
            let owner = binding.owner;
            if binding.ingress {
                state.remove_rules(owner);
                return;
            }
            let Some(index) = state.blocks.iter().position(|block| block.owner == owner) else {
                return;
            };
            let last = state.blocks.get_mut(index).is_none_or(|block| {
                block.bindings.retain(|(id, _)| *id != binding.id);
                block.bindings.is_empty()
            });
            if last {
                let _ = state.blocks.remove(index);
                state.flush(net, |record| record.owner == owner);
            } else {
                let port = binding.port;
                state.flush(net, |record| {
                    record.owner == owner && uses(&record.flow, port)
                });
            }
        });
    }

    fn replace(&self, binding: &Binding, net: &Net, cookie: Cookie, rule: &FlowRule) -> Result {
        self.with(|state| {
            if !state.is_first(binding) {
                return Err(EEXIST);
            }
            state.counters.offered += 1;
            let Err(reject) = Self::offer(state, binding, net, cookie, rule) else {
                return Ok(());
            };
            state.counters.rejected += 1;
            let refused = refused::describe(rule, net, reject);
            state.refusals.add(&refused, time::now_ms());
            let trace = &state.table.host.trace;
            trace.reject(Some(binding.owner), || refused);
            Err(errno(reject))
        })
    }

    fn classify(
        &self,
        binding: &Binding,
        dev: &NetDevice,
        filter: Filter<'_>,
    ) -> Result<(), Refused> {
        self.with(|state| {
            state.counters.offered += 1;
            let rule = filter.rule;
            let Err(refusal) = state.add_rule(binding, dev, filter) else {
                return Ok(());
            };
            state.counters.rejected += 1;
            let reject = refusal.map_err(|error| Refused {
                error,
                message: c"nft_offload: no memory",
            })?;
            state.count_reject(reject);
            let trace = &state.table.host.trace;
            trace.reject(Some(binding.owner), || {
                refused::describe(rule, dev.net(), reject)
            });
            Err(Refused {
                error: errno(reject),
                message: reject.message(),
            })
        })
    }

    fn destroy(&self, binding: &Binding, net: &Net, cookie: Cookie) -> Result {
        self.with(|state| {
            if binding.ingress {
                return state.remove_rule(binding.owner, cookie);
            }
            state.ended.take(binding.owner, cookie.0);
            // Whichever binding it comes by: the first one may be leaving the flowtable, and then
            // none that comes later would take the flow out.
            let removed = state.table.destroy(binding.owner, cookie.0).ok_or(ENOENT)?;
            state.counters.destroyed += 1;
            state.counters.settle(Some(net), removed);
            Ok(())
        })
    }

    fn stats(
        &self,
        binding: &Binding,
        _net: &Net,
        cookie: Cookie,
        stats: &mut flow_offload::Stats<'_>,
    ) -> Result {
        self.with(|state| {
            let flow = if binding.ingress {
                state.rule_stats(binding.owner, cookie).ok_or(ENOENT)?
            } else if state.is_first(binding) {
                let flow = state.table.stats(binding.owner, cookie.0).ok_or(ENOENT)?;
                state.counters.forward(flow.delta);
                flow
            } else {
                return Ok(());
            };
            let ago = time::now_ms().saturating_sub(flow.last_used_ms);
            stats.update(flow.delta.packets, flow.delta.bytes, time::jiffies_ago(ago));
            Ok(())
        })
    }
}

/// What the kernel is told about a refusal.
fn errno(reject: Reject) -> Error {
    match reject.errno_class() {
        ErrnoClass::Unsupported => flow_offload::not_supported(),
        ErrnoClass::NoSpace => ENOSPC,
    }
}

/// Whether frames of `flow` arrive or leave at `port`, or at a switch behind it.
pub(crate) fn uses(flow: &Flow, port: PsePort) -> bool {
    flow.ingress.port == port || flow.egress.port == port
}

impl Engine {
    fn port_event(state: &mut State, event: Event, dev: &NetDevice) {
        let net = dev.net();
        let index = match event {
            // User ports may have the address of their conduit.
            Event::Register if dsa::is_user_port(dev) => None,
            Event::Register => {
                let mac = dev.permanent_address();
                state
                    .ports
                    .iter()
                    .position(|port| mac == Some(port.mac) && port.dev.is_none())
            }
            _ => state
                .ports
                .iter()
                .position(|port| port.is(dev.ifindex(), net.id())),
        };
        let Some(port) = index.and_then(|index| state.ports.get_mut(index)) else {
            return;
        };

        let pse = port.pse;
        let was_up = port.dev.is_some_and(|dev| dev.up);
        port.dev = match event {
            Event::Unregister => None,
            _ => Some(PortDevice::new(dev, event)),
        };
        let is_up = port.dev.is_some_and(|dev| dev.up);
        if was_up && !is_up {
            state.flush(net, |record| uses(&record.flow, pse));
        }
        if event == Event::Unregister {
            state.bridge.look_away(pse);
        }
    }

    fn switch_port_event(&self, state: &mut State, event: Event, dev: &NetDevice, rtnl: &Rtnl) {
        let net = dev.net();
        let known = state
            .switch_ports
            .iter()
            .position(|port| port.dev.is(dev.ifindex(), net.id()));
        let before = known.and_then(|index| state.switch_ports.get(index));
        let user = match event {
            Event::Unregister => None,
            // While a switch goes away, its conduit is none any more before its ports go down.
            Event::Down => before.map(|port| port.user),
            _ => dsa::UserPort::of(dev, rtnl),
        };
        let now = user.map(|user| SwitchPort {
            dev: PortDevice::new(dev, event),
            user,
        });

        let forwards = |port: &SwitchPort| {
            let endpoint = port.endpoint(&state.ports);
            endpoint.filter(|_| port.dev.up)
        };
        let was = before.and_then(forwards);
        let is = now.as_ref().and_then(forwards);
        match (known, now) {
            (Some(index), Some(now)) => {
                if let Some(port) = state.switch_ports.get_mut(index) {
                    *port = now;
                }
            }
            (Some(index), None) => {
                let _ = state.switch_ports.remove(index);
            }
            (None, Some(now)) => {
                if state.switch_ports.push(now, GFP_KERNEL).is_err() {
                    dev_warn!(
                        self.dev,
                        "no memory for another port of a switch: its flows go on in software\n"
                    );
                }
            }
            (None, None) => {}
        }
        if let Some(gone) = was.filter(|_| was != is) {
            state.flush(net, |record| {
                record.flow.ingress == gone || record.flow.egress == gone
            });
        }
    }
}

impl Engine {
    /// A PPP link of `net` went down.
    ///
    /// nf_flowtable knows of a flow's devices only the lowest, so it keeps flows whose PPPoE
    /// session has ended, and goes on to send them with its number, in software too, where those
    /// may be that are not in the table. A rule does not say which PPP device it is about: all
    /// flows of a port with sessions have to start again.
    fn link_ended(&self, net: &Net) {
        while let Some(ifindex) = self.with(|state| state.take_session_port(net.id())) {
            flow_offload::end_flows(net, ifindex);
        }
    }
}

impl Notify for Engine {
    fn netdev_event(&self, event: Event, dev: &NetDevice, rtnl: &Rtnl) {
        if event == Event::Down && dev.is_ppp() {
            self.link_ended(dev.net());
        }
        self.with(|state| {
            Self::port_event(state, event, dev);
            let is_user_port = dsa::is_user_port(dev);
            if is_user_port {
                self.switch_port_event(state, event, dev, rtnl);
            }
            if is_user_port
                || matches!(
                    event,
                    Event::Register | Event::Unregister | Event::ChangeMtu
                )
            {
                state.update_mtu();
            }
            if state.has_work() {
                state.shaped.request();
            }
        });
    }
}

/// Stops the engine when dropped.
struct Running(Arc<Engine>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.with(|state| {
            // A device that was pulled out does not answer, which is no news any more.
            let quiet = !state.alive();
            if state.table.hw.stop().is_err() && !quiet {
                dev_warn!(self.0.dev, "the engine did not stop in time\n");
            }
        });
    }
}

/// An engine at work: what a bus keeps for a device.
///
/// Fields are dropped in this order: first no flow can come any more and those that are there
/// leave, then nobody tells it anything and no work is done any more, then the files go, and last the engine stops.
#[pin_data]
pub(crate) struct Attached {
    #[pin]
    offload: flow_offload::Registration<Engine>,
    #[pin]
    notifier: NotifierRegistration<Engine>,
    #[pin]
    moves: moves::Registration<Teller>,
    worker: Worker,
    looking: Looking,
    guarding: Guarding,
    files: Dir<Engine>,
    running: Running,
}

fn no_answer(dev: &Device) -> Error {
    dev_err!(dev, "the engine does not answer\n");
    EIO
}

/// Stops an engine as it was found. Whoever ran it before may have left it running, with tables
/// that are somebody else's memory by now: so this comes before it may access memory.
pub(crate) fn quiet(dev: &Device, chip: &'static dyn Chip<Registers>, regs: &Registers) -> Result {
    chip.stop_all(regs).map_err(|_| no_answer(dev))
}

/// Starts the engine of `chip` behind `regs`, which is stopped ([`quiet`]), and offers it to
/// nf_flowtable.
pub(crate) fn attach<'a>(
    dev: &'a Device<Bound>,
    chip: &'static dyn Chip<Registers>,
    regs: Registers,
    ports: KVec<Port>,
    bus: &'static str,
    master: BusMaster,
) -> impl PinInit<Attached, Error> + 'a {
    pin_init::pin_init_scope(move || {
        let engine = Engine::new(dev, chip, regs, ports, bus, master)?;
        engine.start()?;
        let running = Running(engine.clone());
        dev_info!(
            dev,
            "{} engine, {} entries, {} ports\n",
            chip.spec().name,
            chip.spec().slots(),
            engine.state.lock().ports.len()
        );
        Ok(try_pin_init!(Attached {
            running,
            worker: Worker::new(engine.clone())?,
            looking: Looking::new(engine.clone())?,
            guarding: Guarding::new(engine.clone())?,
            files: Dir::new(dev.name(), &engine, debugfs::FILES)?,
            // Ports have to know their devices before the first of them is bound.
            notifier <- NotifierRegistration::new(engine.clone()),
            moves <- moves::Registration::new(Teller::new(engine.clone())?),
            offload <- flow_offload::Registration::new(engine.clone(), engine.devices.clone()),
        }))
    })
}
