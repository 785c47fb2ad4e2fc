//! The spill table: packets that found their window of the kernel's table full.
//!
//! Its slots lie in shared memory, so that they outlive the agent; the index of keys is private memory.
//! A packet is added in such an order that an agent may die anywhere in between:
//!
//! 1. An [`Intent`] is noted: the event, the slot, and its counters before.
//! 2. The slot is changed.
//! 3. The caller consumes the event: one store, which makes the note void.
//!
//! [`Spill::recover`] undoes a step 2 that was not followed by step 3: the event is still in the ring.

use std::sync::atomic::{Ordering, compiler_fence};

use flowxdp_common::{
    field::{self, Groups, WIDEST},
    key::{BY_VERSION, FLOW, SpillKey},
    overflow::Intent,
    slot::{FREE, LIVE, SpillSlot},
    tunnel,
};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{
    metering::aggregate::{self, LEVELS, VERSIONS, level},
    metering::retire::{Retirement, Table, Then, Timeouts},
    metering::slots::{self, FIN_OR_RST, SlotFlow},
    record::{EndReason, FlowKey},
};

/// The last level, for flows that no other level has room for.
const WHOLE: usize = BY_VERSION as usize;

/// The spill table.s slots, and the note beside them.
///
/// Every change is made of aligned words, in the order in which they are asked for.
pub trait SpillTable: Table<Slot = SpillSlot> {
    /// The key of a slot.
    fn key(&self, index: usize) -> SpillKey;
    /// Writes a slot, word by word.
    fn write(&mut self, index: usize, slot: &SpillSlot);
    /// The groups whose fields its cold slots have.
    fn groups(&self) -> Groups {
        Groups::BASE
    }
    /// Writes a cold slot; nothing where the table has none.
    fn write_cold(&mut self, _index: usize, _row: &[u8]) {}
    /// The note.
    fn intent(&self) -> Intent;
    /// Writes the note, but for [`Intent::armed`].
    fn note(&mut self, intent: &Intent);
    /// Writes [`Intent::armed`] alone.
    fn arm(&mut self, armed: bool);
}

/// The index of the spill table: the slot of a flow, and free slots. The caller has the table itself.
#[derive(Debug)]
pub struct Spill {
    hasher: RandomState,
    /// Live slots by the hash of their key.
    live: HashTable<u32>,
    free: Vec<u32>,
    /// Nothing was live here or behind it since none was; the first slots are taken first.
    end: usize,
    /// Slots that are not free, by [`SpillKey::level`].
    used: [usize; LEVELS],
    room: [usize; LEVELS],
    /// Slots of the flows' room that only those which go on may take.
    reserve: usize,
    retirement: Retirement,
    /// A FIN or RST came since the last look.
    closing: bool,
    /// There was no room for a packet since the last look.
    refused: bool,
}

impl Spill {
    /// Takes over a table, new or used; `position` is the ring buffer's consumer position.
    ///
    /// Slots that are neither free nor live stay as they are: the caller exports and frees them.
    pub fn recover<T: SpillTable>(table: &mut T, position: u64) -> Self {
        let intent = table.intent();
        if intent.armed != 0 && intent.position == position {
            undo(table, &intent);
            table.arm(false);
        }
        let mut spill = Self {
            hasher: RandomState::default(),
            live: HashTable::with_capacity(table.len()),
            free: Vec::with_capacity(table.len()),
            end: 0,
            used: [0; LEVELS],
            room: aggregate::room(table.len()),
            reserve: aggregate::reserve(aggregate::room(table.len())[usize::from(FLOW)]),
            retirement: Retirement::default(),
            closing: false,
            refused: false,
        };
        for index in (0..u32::try_from(table.len()).unwrap_or(u32::MAX)).rev() {
            let mut state = table.state(index as usize);
            if state != LIVE && state != FREE && table.copy(index as usize).packets == 0 {
                table.set_state(index as usize, FREE);
                state = FREE;
            }
            match state {
                FREE => spill.free.push(index),
                _ => spill.used[level(&table.key(index as usize))] += 1,
            }
            if state == LIVE {
                spill.enter(table, index);
            }
        }
        spill
    }

    /// Keeps all flows apart: without room for another one, [`Spill::push`] gives false.
    pub fn without_aggregates(&mut self) {
        let all = self.room.iter().sum();
        self.room = [0; LEVELS];
        self.room[usize::from(FLOW)] = all;
        self.reserve = 0;
    }

    /// Flows in it that packets are added to, aggregates included.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Flows in it that are kept apart, and how many can be.
    pub fn flows(&self) -> (usize, usize) {
        (self.used[usize::from(FLOW)], self.room[usize::from(FLOW)])
    }

    /// Whether there was no room for a packet, not even in an aggregate, since the last look.
    pub const fn is_blocked(&self) -> bool {
        self.refused
    }

    /// A flow may be due at `due`, as timeouts changed.
    pub fn expect(&mut self, due: u64) {
        self.retirement.expect(due);
    }

    /// When a flow can be due at the earliest; 0 while one closes.
    pub fn next_due(&self) -> u64 {
        match self.live.is_empty() {
            true => u64::MAX,
            false if self.closing => 0,
            false => self.retirement.next_due(),
        }
    }

    /// Sets the idle timeout of aggressive aging, as [`Retirement::shorten_idle`] does.
    pub const fn shorten_idle(&mut self, idle: Option<u64>) {
        self.retirement.shorten_idle(idle);
    }

    /// Adds a packet, the event at `position` of the ring buffer: to its flow or, where there is no room for
    /// another flow, to an aggregate. `false`: no room there either, and the event is to wait; that is where
    /// there are no aggregates, and where all were retired by force.
    pub fn push<T: SpillTable>(
        &mut self,
        table: &mut T,
        packet: &SpillSlot,
        cold: &[u8],
        position: u64,
        timeouts: Timeouts,
    ) -> bool {
        for key in aggregate::keys(&packet.key) {
            let packet = SpillSlot { key, ..*packet };
            let known = self.find(table, &key, slots::segment(key.rest.vlan, table.groups(), cold));
            let kept = if key.level == FLOW { self.reserve } else { 0 };
            if let Some(index) = known.or_else(|| self.vacant(level(&key), kept)) {
                // An aggregate has no facts of one packet.
                let cold = if key.level == FLOW { cold } else { &[] };
                self.add(table, index, known.is_some(), &packet, cold, position);
                let limits = timeouts.of(|| key.rest.protocol);
                self.retirement.expect(limits.due(packet.first, packet.last).0);
                self.closing |= packet.tcp_flags & FIN_OR_RST != 0 && key.level == FLOW;
                return true;
            }
        }
        self.refused = true;
        false
    }

    /// Reserves an empty slot for a flow that continues in a new record, so that its next packets are not
    /// aggregated with the flows that fill the tables. An eighth of the slots is reserved for such flows,
    /// half of that for flows whose last record ended by the active timeout and that therefore surely
    /// continue.
    /// `segment` is the flow's tunnel's.
    pub fn keep<T: SpillTable>(
        &mut self,
        table: &mut T,
        (flow, segment): (&FlowKey, u32),
        now: u64,
        ended: EndReason,
    ) {
        let key = slots::spill_key(flow);
        if self.find(table, &key, segment).is_some() {
            return;
        }
        let kept = if ended == EndReason::ActiveTimeout { 0 } else { self.reserve / 2 };
        let Some(index) = self.vacant(level(&key), kept) else { return };
        // As one that goes on it may be idle for longer than others.
        let times = SpillSlot { first: now.saturating_sub(1), last: now, ..SpillSlot::default() };
        let extremes = SpillSlot { length_min: u16::MAX, ttl_min: u8::MAX, ..times };
        self.open(table, index, &SpillSlot { key, ..extremes }, &segment.to_be_bytes());
    }

    fn add<T: SpillTable>(
        &mut self,
        table: &mut T,
        index: u32,
        known: bool,
        packet: &SpillSlot,
        cold: &[u8],
        position: u64,
    ) {
        let place = index as usize;
        let before = if known { table.copy(place) } else { SpillSlot::default() };
        arm(table, place, position, &before);
        if known && before.packets > 0 {
            join_cold(table, place, &before, packet, cold);
            table.write(place, &slots::with_packet(&before, packet));
        } else if known {
            // Kept for it: its record begins with this packet.
            write_cold(table, place, cold);
            table.write(place, packet);
        } else {
            self.open(table, index, packet, cold);
        }
        // The event is consumed behind this, and the next one is noted behind that.
        compiler_fence(Ordering::SeqCst);
    }

    fn open<T: SpillTable>(&mut self, table: &mut T, index: u32, slot: &SpillSlot, cold: &[u8]) {
        write_cold(table, index as usize, cold);
        table.write(index as usize, &SpillSlot { state: FREE, ..*slot });
        table.set_state(index as usize, LIVE);
        self.free.pop();
        self.used[level(&slot.key)] += 1;
        self.enter(table, index);
    }

    /// Step 1 of [`crate::metering::retire`], by its rules: a packet of a flow that retires opens a new slot.
    ///
    /// An aggregate of an IP version goes on, unless `forced`, where a slot for the next one is not sure: so
    /// there is room for every packet, however long retired slots are kept for a collector. Gives the number of
    /// slots retired, at most `room`. No grace period is needed: only the agent writes.
    pub fn mark<T: SpillTable>(
        &mut self,
        table: &mut T,
        now: u64,
        timeouts: Timeouts,
        forced: Option<EndReason>,
        room: usize,
    ) -> usize {
        self.refused = false;
        if self.live.is_empty() || forced.is_none() && !self.retirement.is_due(now, self.closing) {
            return 0;
        }
        self.closing = false;
        self.spare(table);
        let marked = self.retirement.mark_first(table, self.end, now, timeouts, forced, room);
        for index in self.retirement.last(marked) {
            let hash = hash(&self.hasher, table, index);
            if let Ok(entry) = self.live.find_entry(hash, |&live| live as usize == index) {
                entry.remove();
            }
        }
        let mut empty = Vec::new();
        self.retirement.drop_empty(table, |index| empty.push(index));
        empty.into_iter().for_each(|index| self.free(table, index));
        marked
    }

    /// Hands each flow that was marked to `sink`, with its slot, which stays retired until [`Spill::free`].
    pub fn collect<T: SpillTable>(
        &mut self,
        table: &mut T,
        sink: impl FnMut(usize, SlotFlow<'_>, EndReason),
    ) {
        self.retirement.collect(table, Then::Keep, sink);
    }

    /// Frees a retired slot.
    pub fn free<T: SpillTable>(&mut self, table: &mut T, index: usize) {
        self.used[level(&table.key(index))] -= 1;
        table.set_state(index, FREE);
        self.free.extend(u32::try_from(index));
    }

    /// Where two more aggregates of IP versions would find no slot, those that live go on.
    fn spare<T: SpillTable>(&mut self, table: &T) {
        let scarce = self.room[WHOLE].saturating_sub(self.used[WHOLE]) < VERSIONS.len();
        let versions = VERSIONS.iter().filter(|_| scarce);
        let live = versions.filter_map(|&version| self.find(table, &aggregate::by_version(version), 0));
        self.retirement.spared = live.map(|index| index as usize).collect();
    }

    fn find<T: SpillTable>(&self, table: &T, key: &SpillKey, segment: u32) -> Option<u32> {
        let is_it = |&index: &u32| {
            let index = index as usize;
            table.key(index) == *key && segment_of(table, index, key) == segment
        };
        self.live.find(slots::hash(&self.hasher, words(key), segment), is_it).copied()
    }

    /// A free slot for a flow or aggregate of this level, if more than so many are.
    fn vacant(&self, level: usize, kept: usize) -> Option<u32> {
        self.free.last().filter(|_| self.used[level] + kept < self.room[level]).copied()
    }

    fn enter<T: SpillTable>(&mut self, table: &T, index: u32) {
        if self.live.is_empty() {
            self.end = 0;
        }
        self.end = self.end.max(index as usize + 1);
        let Self { hasher, live, .. } = self;
        let hash_of = |index: &u32| hash(hasher, table, *index as usize);
        live.insert_unique(hash_of(&index), index, hash_of);
    }
}

fn words(key: &SpillKey) -> [u64; 6] {
    bytemuck::cast(*key)
}

/// The hash of a slot's flow.
fn hash<T: SpillTable>(hasher: &RandomState, table: &T, index: usize) -> u64 {
    let key = table.key(index);
    slots::hash(hasher, words(&key), segment_of(table, index, &key))
}

/// The part of a slot's key that is in its cold slot.
fn segment_of<T: SpillTable>(table: &T, index: usize, key: &SpillKey) -> u32 {
    if tunnel::kind(key.rest.vlan) == tunnel::NONE {
        return 0;
    }
    slots::segment(key.rest.vlan, table.groups(), table.cold(index, &mut [0; WIDEST]))
}

/// Notes a slot's change before it is made. The armed word is down while the others do not belong together.
fn arm<T: SpillTable>(table: &mut T, index: usize, position: u64, before: &SpillSlot) {
    compiler_fence(Ordering::SeqCst);
    table.arm(false);
    let (packets, octets) = (before.packets, before.octets);
    table.note(&Intent { position, index: index as u64, packets, octets, armed: 0 });
    table.arm(true);
}

/// Takes the packet of a note out of its slot again. Times, flags and extremes stay: the same packet sets
/// them again.
fn undo<T: SpillTable>(table: &mut T, intent: &Intent) {
    let Some(index) = usize::try_from(intent.index).ok().filter(|&index| index < table.len()) else { return };
    if intent.packets == 0 {
        table.set_state(index, FREE);
    } else {
        let slot = table.copy(index);
        table.write(index, &SpillSlot { packets: intent.packets, octets: intent.octets, ..slot });
    }
}

/// Writes the cold facts of a record's first packet; zeros for missing octets.
fn write_cold<T: SpillTable>(table: &mut T, index: usize, cold: &[u8]) {
    let mut row = [0; WIDEST];
    row.iter_mut().zip(cold).for_each(|(place, octet)| *place = *octet);
    let width = field::width(table.groups());
    table.write_cold(index, row.get(..width).unwrap_or_default());
}

/// Adds the cold facts of one packet more.
fn join_cold<T: SpillTable>(table: &mut T, index: usize, slot: &SpillSlot, packet: &SpillSlot, cold: &[u8]) {
    if cold.is_empty() {
        return;
    }
    let (mut row, groups) = ([0; WIDEST], table.groups());
    table.cold(index, &mut row);
    let Some(row) = row.get_mut(..field::width(groups)) else { return };
    field::join(groups, row, cold, packet.first < slot.first);
    table.write_cold(index, row);
}
