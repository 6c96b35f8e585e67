// SPDX-License-Identifier: GPL-2.0-only

//! An engine's hardware: registers, and a table in memory for each PPE.

use super::{
    chip::{
        Chip,
        Tables, //
    },
    count::Count,
    flow::PsePort,
    format::{
        Entry,
        Slots, //
    },
    hw::{
        Hw,
        Lifecycle, //
    },
    platform::{
        HwError,
        Regs,
        Words, //
    }, //
};

/// PPEs of an engine, at most.
pub const MAX_PPES: usize = 3;

/// Ports whose frames an engine looks up, at most.
pub const MAX_PORTS: usize = 16;

/// The MTU that ports have until they are told another one, in bytes.
pub const DEFAULT_MTU: u32 = 1500;

/// The tables of a PPE, which have to be zero when the engine is started.
pub struct Memory<W> {
    /// As many words as there are in [`Spec::entries`](super::spec::Spec::entries) entries.
    pub entries: W,
    /// As many as there are in so many counters of
    /// [`Spec::mib_words`](super::spec::Spec::mib_words) words.
    pub mib: W,
}

impl<W: Words> Memory<W> {
    fn tables(&self) -> Tables {
        Tables {
            entries: self.entries.address(),
            mib: self.mib.address(),
        }
    }
}

/// The PPEs of a chip, their registers and their tables.
///
/// Once a register was not answered the engine is *dead*: no register is accessed any more, so that
/// each flow does not wait for it anew. Its tables in memory still are: a word of them can always
/// be made invalid.
pub struct MappedHw<R: Regs, W> {
    chip: &'static dyn Chip<R>,
    regs: R,
    /// Of each PPE.
    memory: [Option<Memory<W>>; MAX_PPES],
    /// The ports whose frames come here, and the setting that [`Chip::attach_port`] found.
    attached: [Option<(PsePort, u32)>; MAX_PORTS],
    /// Words of an entry.
    entry_words: usize,
    /// Bits of the number of an entry in the table of its PPE.
    entry_bits: u32,
    dead: bool,
}

impl<R: Regs, W: Words> MappedHw<R, W> {
    /// The engine of `chip` behind `regs`, which is stopped, with `memory` for each of its PPEs.
    /// `None` if the chip has more PPEs.
    pub fn new(
        chip: &'static dyn Chip<R>,
        regs: R,
        memory: [Option<Memory<W>>; MAX_PPES],
    ) -> Option<Self> {
        let spec = chip.spec();
        let given = memory.iter().take_while(|memory| memory.is_some()).count();
        (given == spec.caps.ppes()).then_some(Self {
            chip,
            regs,
            memory,
            attached: [None; MAX_PORTS],
            entry_words: spec.format.entry_words(),
            entry_bits: spec.entries.trailing_zeros(),
            dead: false,
        })
    }

    fn try_start(&mut self, ports: impl Iterator<Item = PsePort>) -> Result<(), HwError> {
        for (ppe, memory) in self.memory.iter().flatten().enumerate() {
            self.chip.set_mtu(&self.regs, ppe, DEFAULT_MTU)?;
            self.chip.start(&self.regs, ppe, memory.tables())?;
        }
        for port in ports {
            let before = self.chip.attach_port(&self.regs, port)?;
            // After a reset the chip does not know any more: what it said at first counts.
            let mut known = self.attached.iter().flatten();
            if !known.any(|(known, _)| *known == port) {
                let free = self.attached.iter_mut().find(|attached| attached.is_none());
                *free.ok_or(HwError)? = Some((port, before));
            }
        }
        Ok(())
    }

    /// Runs `f` for each PPE, also if it failed for another one.
    fn for_each(
        &mut self,
        f: impl Fn(&'static dyn Chip<R>, &R, usize) -> Result<(), HwError>,
    ) -> Result<(), HwError> {
        let ppes = self.memory.iter().flatten().count();
        self.with(|chip, regs| {
            let mut all = Ok(());
            for ppe in 0..ppes {
                all = all.and(f(chip, regs, ppe));
            }
            all
        })
    }

    /// Runs `f` unless the engine is dead, which it is from then on if that fails.
    #[inline(always)]
    fn with<T>(
        &mut self,
        f: impl FnOnce(&'static dyn Chip<R>, &R) -> Result<T, HwError>,
    ) -> Result<T, HwError> {
        if self.dead {
            return Err(HwError);
        }
        f(self.chip, &self.regs).inspect_err(|_| self.dead = true)
    }

    /// As [`Spec::locate`](super::spec::Spec::locate), which would have to be asked for several
    /// times for each flow.
    #[inline(always)]
    fn locate(&self, slot: u16) -> (usize, u16) {
        let ppe = slot.wrapping_shr(self.entry_bits);
        (ppe.into(), slot & !u16::MAX.wrapping_shl(self.entry_bits))
    }

    /// The table that has a slot, and where word 0 of the entry is there.
    #[inline(always)]
    fn find(&self, slot: u16) -> Result<(&W, usize), HwError> {
        let (ppe, entry) = self.locate(slot);
        let memory = self.memory.get(ppe).and_then(Option::as_ref);
        let entries = &memory.ok_or(HwError)?.entries;
        // Below 2^16 entries of at most `MAX_WORDS` words.
        Ok((entries, usize::from(entry).wrapping_mul(self.entry_words)))
    }
}

impl<R: Regs, W: Words> Lifecycle for MappedHw<R, W> {
    fn is_alive(&self) -> bool {
        !self.dead
    }

    fn start(&mut self, ports: impl Iterator<Item = PsePort>) -> Result<(), HwError> {
        let started = self.try_start(ports);
        if started.is_err() {
            let _ = self.stop();
        }
        started
    }

    fn stop(&mut self) -> Result<(), HwError> {
        let mut all = Ok(());
        for attached in &mut self.attached {
            if let Some((port, before)) = attached.take() {
                all = all.and(self.chip.restore_port(&self.regs, port, before));
            }
        }
        all = all.and(self.chip.stop_all(&self.regs));
        self.dead = all.is_err();
        all
    }

    fn restart(&mut self, ports: impl Iterator<Item = PsePort>) -> Result<(), HwError> {
        let started = self.try_start(ports);
        self.dead = started.is_err();
        started
    }

    fn check(&mut self) -> Result<bool, HwError> {
        let mut running = Ok(true);
        for (ppe, memory) in self.memory.iter().flatten().enumerate() {
            running = self.chip.is_started(&self.regs, ppe, memory.tables());
            if running != Ok(true) {
                break;
            }
        }
        self.dead |= running.is_err();
        running
    }

    fn give_up(&mut self) {
        self.dead = true;
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), HwError> {
        self.for_each(|chip, regs, ppe| chip.set_mtu(regs, ppe, mtu))
    }
}

impl<R: Regs, W: Words> Hw for MappedHw<R, W> {
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError> {
        let (entries, word0_at) = self.find(slot)?;
        for (at, out) in (word0_at..).zip(out) {
            *out = entries.read(at)?;
        }
        Ok(())
    }

    #[inline]
    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError> {
        let (entries, word0_at) = self.find(slot)?;
        entries.read(word0_at)
    }

    #[inline]
    fn read_word0s(&mut self, slots: Slots, mut each: impl FnMut(u16, u32)) -> Result<(), HwError> {
        // A bucket is of one PPE: the table is looked for once.
        let (entries, mut word0_at) = self.find(slots.first)?;
        let Slots {
            first: mut slot,
            mut ways,
        } = slots;
        while ways != 0 {
            if ways & 1 != 0 {
                each(slot, entries.read(word0_at)?);
            }
            ways = ways.wrapping_shr(1);
            slot = slot.wrapping_add(1);
            word0_at = word0_at.wrapping_add(self.entry_words);
        }
        Ok(())
    }

    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError> {
        if self.dead {
            return Err(HwError);
        }
        let (entries, word0_at) = self.find(slot)?;
        let (word0, body) = entry.words().split_first().ok_or(HwError)?;
        let body_at = word0_at.wrapping_add(1);
        // Most chips have entries of this length: to know it when this is compiled is half the
        // instructions.
        match <&[u32; 23]>::try_from(body) {
            Ok(body) => entries.write_all(body_at, body)?,
            Err(_) => entries.write_all(body_at, body)?,
        }
        // The engine may look at any time, and must not find word 0 with an old body.
        entries.write_barrier();
        entries.write(word0_at, *word0)?;
        self.clear_cache(slot)
    }

    fn invalidate(&mut self, slot: u16) -> Result<(), HwError> {
        let (entries, word0_at) = self.find(slot)?;
        entries.write(word0_at, 0)
    }

    fn clear_cache(&mut self, slot: u16) -> Result<(), HwError> {
        let (ppe, _) = self.locate(slot);
        self.with(|chip, regs| chip.clear_cache(regs, ppe))
    }

    fn clear_caches(&mut self) -> Result<(), HwError> {
        self.for_each(|chip, regs, ppe| chip.clear_cache(regs, ppe))
    }

    fn read_mib(&mut self, slot: u16) -> Result<Count, HwError> {
        let (ppe, entry) = self.locate(slot);
        self.with(|chip, regs| chip.read_mib(regs, ppe, entry))
    }

    fn timestamp(&mut self) -> u16 {
        self.with(|chip, regs| chip.timestamp(regs)).unwrap_or(0)
    }
}
