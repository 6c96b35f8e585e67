// SPDX-License-Identifier: GPL-2.0-only

//! An engine to test the table against. It keeps entries in a cache until that is
//! cleared, learns flows of its own accord, ages entries, and breaks when asked to.

use super::*;

/// What was asked of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Commit(u16),
    Invalidate(u16),
    ClearCache,
    ReadMib(u16),
}

pub struct Fake {
    pub words: Vec<Vec<u32>>,
    pub mib: Vec<Count>,
    /// Parts of the table.
    parts: usize,
    cache: HashMap<u16, Vec<u32>>,
    /// The present, which the table sees as well.
    pub now_ms: Rc<Cell<u64>>,
    /// Writes and clears, in order.
    pub ops: Vec<Op>,
    /// Counted once, while an entry is made invalid: frames still come.
    pub late: Count,
    /// Accesses until the engine stops to answer.
    pub dies_in: Option<u32>,
    /// Whether it answers again after that.
    pub recovers: bool,
    /// It was given up.
    pub dead: bool,
    /// It is as it was started.
    pub runs: bool,
    /// The ports whose frames it has.
    pub attached: Vec<PsePort>,
    pub mtu: u32,
}

impl Fake {
    /// An engine of one or two PPEs; the second one has the frames of [`APART`].
    pub fn with_parts(slots: usize, parts: usize) -> Self {
        Self {
            parts,
            words: vec![vec![0; NETSYS_V2.entry_words()]; slots],
            mib: vec![Count::ZERO; slots],
            cache: HashMap::new(),
            now_ms: Rc::new(Cell::new(1_000_000)),
            ops: Vec::new(),
            late: Count::ZERO,
            dies_in: None,
            recovers: false,
            dead: false,
            runs: true,
            attached: Vec::new(),
            mtu: 0,
        }
    }

    fn access(&mut self) -> Result<(), HwError> {
        match &mut self.dies_in {
            None => Ok(()),
            Some(0) => {
                if self.recovers {
                    self.dies_in = None;
                }
                Err(HwError)
            }
            Some(n) => {
                *n -= 1;
                Ok(())
            }
        }
    }

    fn clock(&self) -> u16 {
        (self.now_ms.get() / 1000) as u16
    }

    fn set_state(&mut self, slot: u16, state: u32) {
        let word0 = &mut self.words[usize::from(slot)][0];
        *word0 = (*word0 & !(3 << 28)) | (state << 28);
    }

    /// Slots of each part.
    fn part(&self) -> u16 {
        (self.words.len() / self.parts) as u16
    }

    /// The slots of the bucket of a flow.
    pub fn bucket(&self, flow: &Flow) -> core::ops::Range<u16> {
        let part = u16::from(self.parts > 1 && flow.ingress.port == APART) * self.part();
        let first = part + NETSYS_V2.bucket(flow, self.part().into());
        first..first + NETSYS_V2.ways()
    }

    /// The slot of a flow, as the engine sees it, and whether it forwards the flow.
    pub fn look_up(&self, flow: &Flow) -> Option<(u16, bool)> {
        self.bucket(flow).find_map(|slot| {
            let words = self
                .cache
                .get(&slot)
                .unwrap_or(&self.words[usize::from(slot)]);
            let found =
                NETSYS_V2.state(words[0]) != State::Invalid && NETSYS_V2.same_key(words, flow);
            found.then_some((slot, NETSYS_V2.is_bound(words[0])))
        })
    }

    /// Clears the cache of the part with this slot.
    fn forget(&mut self, slot: u16) {
        let part = self.part();
        self.cache.retain(|cached, _| cached / part != slot / part);
    }

    /// A frame of the flow arrives. Returns the slot by which it is forwarded, if it is.
    pub fn frame(&mut self, flow: &Flow, len: u64) -> Option<u16> {
        let (slot, bound) = self.look_up(flow)?;
        let at = usize::from(slot);
        let clock = u32::from(self.clock() & 0xff);
        if bound {
            self.words[at][0] = (self.words[at][0] & !0xff) | clock;
            let words = self.words[at].clone();
            self.cache.entry(slot).or_insert(words);
            self.mib[at].packets += 1;
            self.mib[at].bytes += len;
        }
        bound.then_some(slot)
    }

    /// The engine learns the flow, in the first empty way.
    pub fn learn(&mut self, flow: &Flow) -> Option<u16> {
        if self.look_up(flow).is_some() {
            return None;
        }
        let slot = self
            .bucket(flow)
            .find(|slot| NETSYS_V2.state(self.words[usize::from(*slot)][0]) == State::Invalid)?;
        let entry = NETSYS_V2.encode(flow, 0).unwrap();
        self.words[usize::from(slot)] = entry.words().to_vec();
        self.set_state(slot, 1);
        Some(slot)
    }

    /// The engine lets the flow in a slot go.
    pub fn age_out(&mut self, slot: u16) {
        self.set_state(slot, 0);
        self.cache.remove(&slot);
    }

    /// Slots whose entries the engine forwards by, now.
    pub fn forwarding(&self) -> Vec<u16> {
        (0..self.words.len() as u16)
            .filter(|slot| {
                let words = self
                    .cache
                    .get(slot)
                    .unwrap_or(&self.words[usize::from(*slot)]);
                NETSYS_V2.is_bound(words[0])
            })
            .collect()
    }
}

impl Hw for Fake {
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError> {
        self.access()?;
        let words = &self.words[usize::from(slot)];
        out.copy_from_slice(&words[..out.len()]);
        Ok(())
    }

    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError> {
        self.access()?;
        Ok(self.words[usize::from(slot)][0])
    }

    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError> {
        self.ops.push(Op::Commit(slot));
        let old = self.words[usize::from(slot)][0];
        assert!(
            !NETSYS_V2.is_bound(old),
            "the body of a bound entry is written"
        );
        let words = &mut self.words[usize::from(slot)];
        // Dying in the middle leaves a new body.
        // The entry may be of a format with shorter ones.
        words[1..entry.words().len()].copy_from_slice(entry.body());
        self.access()?;
        self.words[usize::from(slot)][0] = entry.word0();
        self.access()?;
        self.forget(slot);
        Ok(())
    }

    fn invalidate(&mut self, slot: u16) -> Result<(), HwError> {
        self.ops.push(Op::Invalidate(slot));
        self.access()?;
        self.set_state(slot, 0);
        let mib = &mut self.mib[usize::from(slot)];
        *mib = mib.plus(core::mem::take(&mut self.late));
        Ok(())
    }

    fn clear_cache(&mut self, slot: u16) -> Result<(), HwError> {
        self.ops.push(Op::ClearCache);
        self.access()?;
        self.forget(slot);
        Ok(())
    }

    fn clear_caches(&mut self) -> Result<(), HwError> {
        self.ops.push(Op::ClearCache);
        self.access()?;
        self.cache.clear();
        Ok(())
    }

    fn read_mib(&mut self, slot: u16) -> Result<Count, HwError> {
        self.ops.push(Op::ReadMib(slot));
        self.access()?;
        Ok(core::mem::take(&mut self.mib[usize::from(slot)]))
    }

    fn timestamp(&mut self) -> u16 {
        self.clock()
    }
}

impl Lifecycle for Fake {
    fn is_alive(&self) -> bool {
        !self.dead
    }

    fn start(&mut self, ports: impl Iterator<Item = PsePort>) -> Result<(), HwError> {
        self.attached = ports.collect();
        self.check().map(|_| ())
    }

    fn stop(&mut self) -> Result<(), HwError> {
        self.attached.clear();
        self.check().map(|_| ())
    }

    fn restart(&mut self, ports: impl Iterator<Item = PsePort>) -> Result<(), HwError> {
        self.runs = true;
        self.attached = ports.collect();
        self.dead = self.access().is_err();
        if self.dead {
            Err(HwError)
        } else {
            Ok(())
        }
    }

    fn check(&mut self) -> Result<bool, HwError> {
        let answer = self.access();
        self.dead |= answer.is_err();
        answer.map(|()| self.runs)
    }

    fn give_up(&mut self) {
        self.dead = true;
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), HwError> {
        self.mtu = mtu;
        self.access()
    }
}

/// Whoever watches the table.
pub struct TestHost {
    now_ms: Rc<Cell<u64>>,
    /// What the table said, in order.
    pub events: Vec<(Event, u16, Record)>,
    /// What was refused, in order.
    pub rejected: RefCell<Vec<(Option<BlockId>, RejectedRule)>>,
    /// How often an engine stopped to answer.
    pub quarantined: Cell<u32>,
    /// Where the destination of flows is another neighbour, and the Ethernet address they go to.
    pub gateway: Option<(i32, [u8; 6])>,
}

impl Clock for TestHost {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

impl Storage for TestHost {
    type Vec<T> = Vec<T>;

    fn filled<T: Clone>(item: T, len: usize) -> Option<Vec<T>> {
        Some(vec![item; len])
    }
}

impl Host for TestHost {
    type Hw = Fake;

    fn event(&mut self, event: Event, slot: u16, record: &Record) {
        self.events.push((event, slot, *record));
    }
}

impl Platform for TestHost {
    type Conntrack = Connections;

    fn is_other_neighbour(&self, _net: &TestNet, ifindex: i32, flow: &Flow) -> bool {
        self.gateway == Some((ifindex, flow.dmac))
    }

    fn rejected(&self, owner: Option<BlockId>, rule: &RejectedRule) {
        self.rejected.borrow_mut().push((owner, *rule));
    }

    fn quarantined(&self, _: &str) {
        self.quarantined.set(self.quarantined.get() + 1);
    }
}

/// The namespace in which all flows are.
pub struct TestNet;

/// One direction of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    pub id: u64,
    /// What was added to its counters.
    pub counted: Count,
    /// Whether several packets passed, each time that was told.
    pub seen: Vec<bool>,
}

/// Connections, each direction by its zone and key.
#[derive(Clone, Default)]
pub struct Connections(Rc<RefCell<HashMap<(u32, Key), Tracked>>>);

impl Connections {
    pub fn add(&self, zone: u32, flow: &Flow, id: u64) {
        let connection = Tracked {
            id,
            ..Tracked::default()
        };
        self.0.borrow_mut().insert((zone, flow.key()), connection);
    }

    pub fn remove(&self, zone: u32, flow: &Flow) {
        self.0.borrow_mut().remove(&(zone, flow.key()));
    }

    pub fn get(&self, zone: u32, flow: &Flow) -> Tracked {
        self.0.borrow()[&(zone, flow.key())].clone()
    }
}

impl Conntrack for Connections {
    type Net = TestNet;

    fn find(&self, _: &TestNet, zone: u32, flow: &Flow) -> Option<u64> {
        Some(self.0.borrow().get(&(zone, flow.key()))?.id)
    }

    fn account(
        &self,
        _: &TestNet,
        flow: &Flow,
        ConnectionId { id, zone }: ConnectionId,
        passed: &Passed,
    ) -> bool {
        let mut all = self.0.borrow_mut();
        let found = all.get_mut(&(zone, flow.key()));
        let Some(found) = found.filter(|found| found.id == id) else {
            return false;
        };
        found.counted = found.counted.plus(passed.uncounted);
        found.seen.push(passed.several);
        true
    }

    fn is_reply(id: u64) -> bool {
        id & 1 != 0
    }
}

pub type TestTable = Table<TestHost>;

/// A chip with PPEs of so many entries.
pub fn spec(entries: usize, caps: &Caps) -> &'static Spec {
    Box::leak(Box::new(Spec {
        name: "test",
        caps: *caps,
        format: &NETSYS_V2,
        entries: entries as u16,
        mib_words: 4,
    }))
}

/// A host of an engine like this.
pub fn host_of(hw: &Fake) -> TestHost {
    TestHost {
        now_ms: hw.now_ms.clone(),
        events: Vec::new(),
        rejected: RefCell::default(),
        quarantined: Cell::default(),
        gateway: None,
    }
}

impl TestHost {
    /// Time passes.
    pub fn wait(&self, ms: u64) {
        self.now_ms.set(self.now_ms.get() + ms);
    }
}

/// A table over storage of these lengths.
pub fn table_over(spec: &'static Spec, records: usize, index: usize) -> Option<TestTable> {
    let hw = Fake::with_parts(spec.slots(), spec.caps.ppes());
    let host = host_of(&hw);
    // What was there before must not matter.
    Table::new(host, hw, spec, vec![Record::EMPTY; records], vec![0; index])
}

/// A table of PPEs with so many entries, and room for so many flows without slot.
pub fn new_table(entries: usize, caps: &Caps, spares: usize) -> TestTable {
    let spec = spec(entries, caps);
    let slots = spec.slots();
    table_over(spec, slots + spares, index_len(slots)).unwrap()
}
