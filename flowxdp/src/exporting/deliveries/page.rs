//! One collector's page of the journal.

use std::mem::offset_of;

use flowxdp_common::{
    journal::{COLLECTORS, IDLE, Page, REFS, RELEASING, SENDING, TAKING_BACK, Terms, unfold, word},
    slot,
};
use flowxdp_core::{
    metering::deliveries::SlotRef,
    record::{DeliveryId, RecordTotal},
};

use super::Ledger;
use crate::kernel::map::Mapped;

/// The hash of a collector's URL: never 0, and the same in every build.
pub(super) fn name(url: &str) -> u64 {
    let fnv = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    url.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv).max(1)
}

/// The name of a page whose collector no configuration names any more, and whose queue leaves.
pub(super) const NAMELESS: u64 = u64::MAX;

/// All pages.
pub(super) struct Pages {
    mapped: Mapped<Page>,
}

/// Offsets of a page's fields: the other side of this memory is another agent, after this one.
const NAME: usize = offset_of!(Page, name);
const WORD: usize = offset_of!(Page, word);
const PORT: usize = offset_of!(Page, port);
const TERMS: usize = offset_of!(Page, terms);
const SLOTS: usize = offset_of!(Page, slots);

impl Pages {
    pub(super) const fn new(mapped: Mapped<Page>) -> Self {
        Self { mapped }
    }

    fn read<T: bytemuck::Pod>(&self, at: usize, field: usize) -> T {
        self.mapped.load(at, field)
    }

    fn write<T: bytemuck::Pod>(&mut self, at: usize, field: usize, value: T) {
        #[cfg(test)]
        super::kill::store();
        self.mapped.store(at, field, value);
    }

    pub(super) fn find(&mut self, name: u64) -> Option<usize> {
        let pages = 0..self.mapped.len().min(COLLECTORS);
        let names: Vec<u64> = pages.map(|at| self.read(at, NAME)).collect();
        let at = names.iter().position(|it| *it == name).or_else(|| names.iter().position(|it| *it == 0))?;
        self.write(at, NAME, name);
        Some(at)
    }

    /// Pages that the collectors of a configuration have.
    pub(super) fn named(&self) -> Vec<usize> {
        let pages = 0..self.mapped.len().min(COLLECTORS);
        pages.filter(|at| ![0, NAMELESS].contains(&self.read::<u64>(*at, NAME))).collect()
    }

    fn frees(&self) -> impl Iterator<Item = usize> {
        (0..self.mapped.len().min(COLLECTORS)).filter(|at| self.read::<u64>(*at, NAME) == 0)
    }

    pub(super) fn free(&self) -> Option<usize> {
        self.frees().next()
    }

    pub(super) fn count_free(&self) -> usize {
        self.frees().count()
    }

    pub(super) fn rename(&mut self, at: usize, name: u64) {
        self.write(at, NAME, name);
    }

    pub(super) fn forget_all_but(&mut self, used: &[usize]) {
        (0..self.mapped.len().min(COLLECTORS)).filter(|at| !used.contains(at)).for_each(|at| self.forget(at));
    }

    pub(super) fn forget(&mut self, at: usize) {
        self.write(at, NAME, 0_u64);
        self.write(at, WORD, 0_u64);
        self.write(at, TERMS, [Terms::default(); 2]);
        self.write(at, PORT, 0_u64);
    }
}

/// The remains of an earlier agent's step.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// The valid terms.
    pub terms: Terms,
    /// The terms that are valid if the messages that were being delivered have left.
    pub perhaps: Option<Terms>,
    /// Their slots.
    pub slots: Vec<SlotRef>,
    /// The local port over UDP, 0 for none.
    pub port: u16,
}

impl Ledger {
    /// An earlier agent's state of a page, with the step that it had begun finished.
    pub fn recover(&mut self, at: usize) -> Left {
        let (phase, copy, count) = unfold(self.pages.read(at, WORD));
        let terms: [Terms; 2] = self.pages.read(at, TERMS);
        let place = usize::from(copy == 1);
        let (terms, other) = (terms[place], terms[1 - place]);
        let count = usize::try_from(count).unwrap_or(REFS).min(REFS);
        let words = (0..count).map(|index| self.pages.read(at, SLOTS + 8 * index));
        let slots: Vec<SlotRef> = words.map(SlotRef::from_word).collect();
        let port = u16::try_from(self.pages.read::<u64>(at, PORT)).unwrap_or(0);
        match phase {
            RELEASING | TAKING_BACK => {
                let bit = 1 << at;
                self.note(&slots, |has| if phase == RELEASING { has | bit } else { has & !bit });
                self.pages.write(at, WORD, word(IDLE, copy, 0));
                Left { terms, port, ..Left::default() }
            }
            SENDING => Left { terms, perhaps: Some(other), slots, port },
            _ => Left { terms, port, ..Left::default() },
        }
    }

    /// Notes in these slots that the collector of a page has them. A later pass over the table frees the slots that
    /// every collector has.
    pub fn release(&mut self, at: usize, slots: &[SlotRef]) {
        self.note(slots, |has| has | 1 << at);
    }

    fn note(&mut self, slots: &[SlotRef], has: impl Fn(u32) -> u32) {
        for &slot in slots {
            if let Some(state) = self.tables.state(slot) {
                self.tables.set(slot, slot::retired(has(slot::has(state))));
            }
        }
    }

    /// The sums of those of these slots that the collector of a page is not known to have.
    pub fn total(&mut self, at: usize, slots: &[SlotRef]) -> RecordTotal {
        let mut total = RecordTotal::default();
        for &slot in slots {
            let state = self.tables.state(slot);
            let open = state.is_some_and(|it| slot::is_retired(it) && slot::has(it) >> at & 1 == 0);
            if open && let Some((packets, octets)) = self.tables.counters(slot) {
                total += RecordTotal { records: 1, packets, octets };
            }
        }
        total
    }

    /// Messages with these records are about to be handed over; `after` holds if they are.
    pub fn sending(&mut self, at: usize, deliveries: impl Iterator<Item = DeliveryId>, after: &Terms) {
        let copy = self.copy(at);
        let count = self.prepare(at, 1 - copy, deliveries, after);
        self.pages.write(at, WORD, word(SENDING, copy as u64, count));
    }

    /// `terms` holds, and these records are released, or handed over so that they can be refused yet. One
    /// step, whatever ends the agent.
    pub fn deliver(&mut self, at: usize, released: &[DeliveryId], unconfirmed: &[DeliveryId], terms: &Terms) {
        let copy = 1 - self.copy(at);
        let count = self.prepare(at, copy, released.iter().chain(unconfirmed).copied(), terms);
        self.pages.write(at, WORD, word(RELEASING, copy as u64, count));
        self.confirm(at, released);
        let Self { pending, tables, .. } = self;
        for delivery in unconfirmed {
            pending.deliver(*delivery, 1 << at, |slot, state| tables.set(slot, state));
        }
        self.pages.write(at, WORD, word(IDLE, copy as u64, 0));
    }

    /// `terms` holds, and these records were refused. One step, whatever ends the agent.
    pub fn revoke(&mut self, at: usize, refused: &[DeliveryId], terms: &Terms) {
        let copy = 1 - self.copy(at);
        let count = self.prepare(at, copy, refused.iter().copied(), terms);
        self.pages.write(at, WORD, word(TAKING_BACK, copy as u64, count));
        let Self { pending, tables, .. } = self;
        for delivery in refused {
            pending.revoke(*delivery, 1 << at, |slot, state| tables.set(slot, state));
        }
        self.pages.write(at, WORD, word(IDLE, copy as u64, 0));
    }

    /// Writes the list and a copy of the terms; gives the number of slots in the list.
    fn prepare(
        &mut self,
        at: usize,
        copy: usize,
        deliveries: impl Iterator<Item = DeliveryId>,
        terms: &Terms,
    ) -> u64 {
        let mut count = 0;
        // Slots beyond the list's room belong to one flow on very many CPUs, and are released as well.
        for slot in deliveries.flat_map(|delivery| self.pending.slots(delivery)).take(REFS) {
            self.pages.write(at, SLOTS + 8 * count, slot.word());
            count += 1;
        }
        self.pages.write(at, TERMS + copy * size_of::<Terms>(), *terms);
        count as u64
    }

    /// The local port over UDP.
    pub fn set_port(&mut self, at: usize, port: u16) {
        self.pages.write(at, PORT, u64::from(port));
    }

    /// The copy that holds.
    fn copy(&self, at: usize) -> usize {
        usize::from(unfold(self.pages.read(at, WORD)).1 == 1)
    }
}

#[cfg(test)]
mod tests;
