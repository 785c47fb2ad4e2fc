//! The ledger of collectors that still need a slot's record.
//!
//! A killed agent leaves its table behind, and retired flows are still in their slots until every collector
//! has their record. The exporter that sends a record therefore frees its slots, not the code that makes it.
//! A record carries a [`DeliveryId`] for its slots. The slot's state has a bit for each collector that has
//! the record, so that the next agent sends it only to the others.

use flowxdp_common::slot::{FREE, retired};

use crate::record::DeliveryId;

/// A slot of one of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotRef(u64);

/// The table of a slot: a number that means the same to the next agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(u8);

/// Generations of tables that can be told apart.
const GENERATIONS: u64 = 84;

impl Place {
    /// The spill table.
    pub const SPILL: Self = Self(0);

    fn of(generation: u64, table: u64) -> Self {
        Self(u8::try_from(1 + 3 * (generation % GENERATIONS) + table).unwrap_or(u8::MAX))
    }

    /// The IPv4 table of a generation.
    pub fn v4(generation: u64) -> Self {
        Self::of(generation, 0)
    }

    /// The IPv6 table of a generation.
    pub fn v6(generation: u64) -> Self {
        Self::of(generation, 1)
    }

    /// The spill table of an agent whose generation has another layout.
    pub fn spill_of(generation: u64) -> Self {
        Self::of(generation, 2)
    }
}

/// Bits of a [`SlotRef`] that are the index.
const INDEX: u32 = 56;

impl SlotRef {
    /// The slot with this index of a table.
    pub const fn new(place: Place, index: usize) -> Self {
        Self((place.0 as u64) << INDEX | index as u64)
    }

    /// As a word, for a journal.
    pub const fn word(self) -> u64 {
        self.0
    }

    /// From a word of a journal.
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Table and index.
    pub fn place(self) -> (Place, usize) {
        let place = u8::try_from(self.0 >> INDEX).unwrap_or(u8::MAX);
        (Place(place), usize::try_from(self.0 & ((1 << INDEX) - 1)).unwrap_or(usize::MAX))
    }
}

#[derive(Clone, Debug, Default)]
struct Entry {
    slots: [Option<SlotRef>; 2],
    /// A flow met on more than two CPUs.
    more: Vec<SlotRef>,
    /// Collectors that wait for it, a bit each.
    waiting: u32,
    /// Collectors that have it.
    has: u32,
}

impl Entry {
    fn slots(&self) -> impl Iterator<Item = SlotRef> {
        self.slots.iter().copied().flatten().chain(self.more.iter().copied())
    }
}

/// Records that no exporter has delivered yet.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// The delivery is the place here, from 1.
    entries: Vec<Entry>,
    free: Vec<u32>,
}

impl Deliveries {
    /// Keeps the slots of a record of which these collectors have been given word before.
    pub fn keep(&mut self, slots: &[SlotRef], has: u32) -> DeliveryId {
        let mut slots = slots.iter().copied();
        let entry = Entry { slots: [slots.next(), slots.next()], more: slots.collect(), waiting: 0, has };
        if let Some(delivery) = self.free.pop()
            && let Some(place) = self.entries.get_mut(delivery as usize - 1)
        {
            *place = entry;
            return DeliveryId(delivery);
        }
        self.entries.push(entry);
        DeliveryId(u32::try_from(self.entries.len()).unwrap_or(0))
    }

    fn entry(&mut self, delivery: DeliveryId) -> Option<&mut Entry> {
        self.entries.get_mut((delivery.0 as usize).checked_sub(1)?)
    }

    /// The collectors that have the record already.
    pub fn has(&mut self, delivery: DeliveryId) -> u32 {
        self.entry(delivery).map_or(0, |entry| entry.has)
    }

    /// These collectors wait for the record, and no others.
    pub fn expect(&mut self, delivery: DeliveryId, collectors: u32) {
        if let Some(entry) = self.entry(delivery) {
            entry.waiting = collectors;
        }
    }

    /// The slots of a record.
    pub fn slots(&self, delivery: DeliveryId) -> impl Iterator<Item = SlotRef> {
        let entry = (delivery.0 as usize).checked_sub(1).and_then(|place| self.entries.get(place));
        entry.into_iter().flat_map(Entry::slots)
    }

    /// A collector was handed the record, and may yet refuse it: `set` takes the new state of its slots.
    pub fn deliver(&mut self, delivery: DeliveryId, collector: u32, set: impl FnMut(SlotRef, u32)) {
        self.note(delivery, |has| has | collector, set);
    }

    /// A collector refused the record that it was handed: `set` takes the new state of its slots.
    pub fn revoke(&mut self, delivery: DeliveryId, collector: u32, set: impl FnMut(SlotRef, u32)) {
        self.note(delivery, |has| has & !collector, set);
    }

    fn note(&mut self, delivery: DeliveryId, has: impl Fn(u32) -> u32, mut set: impl FnMut(SlotRef, u32)) {
        let Some(entry) = self.entry(delivery) else { return };
        entry.has = has(entry.has);
        entry.slots().for_each(|slot| set(slot, retired(entry.has)));
    }

    /// A collector has the record, or gave it up: `set` takes the new state of its slots. After the last
    /// one they are free, and the delivery is no longer good.
    pub fn release(&mut self, delivery: DeliveryId, collector: u32, mut set: impl FnMut(SlotRef, u32)) {
        let Some(entry) = self.entry(delivery) else { return };
        entry.waiting &= !collector;
        entry.has |= collector;
        let last = entry.waiting == 0;
        let state = if last { FREE } else { retired(entry.has) };
        entry.slots().for_each(|slot| set(slot, state));
        if last {
            *entry = Entry::default();
            self.free.push(delivery.0);
        }
    }

    /// These collectors are owed none of the records that wait for others alone now: `set` takes the new state of their slots.
    pub fn excuse(&mut self, collectors: u32, mut set: impl FnMut(SlotRef, u32)) {
        for entry in self.entries.iter_mut().filter(|entry| entry.waiting != 0) {
            entry.has |= collectors & !entry.waiting;
            entry.slots().for_each(|slot| set(slot, retired(entry.has)));
        }
    }

    /// Records that somebody waits for.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether nobody waits for anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_free_when_the_last_collector_has_them() {
        let mut pending = Deliveries::default();
        let slots = [3, 4, 5].map(|index| SlotRef::new(Place::v6(1), index));
        let delivery = pending.keep(&slots, 0);
        pending.expect(delivery, 0b101);
        assert!(pending.slots(delivery).eq(slots));
        let mut states = Vec::new();
        pending.release(delivery, 0b100, |slot, state| states.push((slot.place(), state)));
        assert_eq!(states, [3, 4, 5].map(|index| ((Place::v6(1), index), retired(0b100))));
        states.clear();
        pending.release(delivery, 0b001, |slot, state| states.push((slot.place(), state)));
        assert_eq!(states, [3, 4, 5].map(|index| ((Place::v6(1), index), FREE)));
        assert!(pending.is_empty());
        // The place is used again, and the old slots are forgotten.
        let other = pending.keep(&[SlotRef::new(Place::SPILL, 7)], 0b010);
        assert_eq!((other, pending.has(other)), (delivery, 0b010));
        assert!(pending.slots(other).eq([SlotRef::new(Place::SPILL, 7)]));
    }

    #[test]
    fn what_may_be_refused_keeps_its_slots() {
        let mut pending = Deliveries::default();
        let delivery = pending.keep(&[SlotRef::new(Place::v4(1), 3)], 0);
        pending.expect(delivery, 0b11);
        let mut states = Vec::new();
        pending.deliver(delivery, 0b01, |_, state| states.push(state));
        pending.release(delivery, 0b10, |_, state| states.push(state));
        pending.revoke(delivery, 0b01, |_, state| states.push(state));
        pending.deliver(delivery, 0b01, |_, state| states.push(state));
        pending.release(delivery, 0b01, |_, state| states.push(state));
        assert_eq!(states, [retired(0b01), retired(0b11), retired(0b10), retired(0b11), FREE]);
        assert!(pending.is_empty());
    }

    #[test]
    fn no_ticket_has_no_slots() {
        let mut pending = Deliveries::default();
        pending.expect(DeliveryId::NONE, 1);
        pending.release(DeliveryId::NONE, 1, |_, _| unreachable!());
        assert_eq!(pending.slots(DeliveryId::NONE).count(), 0);
        let slot = SlotRef::new(Place::v4(87), 9);
        assert_eq!(SlotRef::from_word(slot.word()).place(), (Place::v4(3), 9));
    }
}
