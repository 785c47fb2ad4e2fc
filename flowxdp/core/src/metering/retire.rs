//! Which slots are due, and why; and the three steps in which they leave the table.
//!
//! 1. [`Retirement::mark`] sets every due slot from LIVE to RETIRED: no further packet matches it.
//! 2. The caller waits for one grace period: no program that saw LIVE is running any more.
//! 3. [`Retirement::collect`] reads the final counters and, then or later, [`free`] sets FREE.
//!
//! A look at the table costs memory bandwidth, so [`Retirement::is_due`] tells when one can find anything.

mod calendar;
mod sums;
mod timeouts;
mod turns;

use flowxdp_common::{
    field::{ColdRow, WIDEST},
    slot::{FREE, LIVE, RETIRED, WINDOW, has, is_retired, retired},
};

use crate::{
    metering::aging::LASTING,
    metering::slots::{FIN_OR_RST, Slot, SlotFlow},
    record::EndReason,
};

use self::turns::{Run, runs};
pub use self::{
    sums::{in_live, in_table},
    timeouts::{Class, Limits, Timeouts},
    turns::Turn,
};

/// The values of a live slot that a sweep reads.
#[derive(Clone, Copy, Debug)]
pub struct Peek {
    /// First packet, nanoseconds.
    pub first: u64,
    /// Last packet, nanoseconds.
    pub last: u64,
    /// OR of the TCP flags.
    pub tcp_flags: u16,
}

/// One table of slots, shared with the XDP program.
pub trait Table {
    /// The kind of slot.
    type Slot: Slot;
    /// Number of slots.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The state of a slot.
    fn state(&self, index: usize) -> u32;
    /// Times and flags of a slot.
    fn peek(&self, index: usize) -> Peek;
    /// IANA's protocol number of a slot's flow.
    #[inline(always)]
    fn protocol(&self, index: usize) -> u8 {
        self.copy(index).counters().key.protocol
    }
    /// The whole slot; torn while it is live.
    fn copy(&self, index: usize) -> Self::Slot;
    /// The cold octets of a slot, read into `row`; none where the table has no cold slots.
    #[inline(always)]
    fn cold<'row>(&self, _index: usize, _row: &'row mut ColdRow) -> &'row [u8] {
        &[]
    }
    /// Sets the state; the agent's transitions only.
    fn set_state(&mut self, index: usize, state: u32);
    /// Whether a FIN or RST ends a slot's flow.
    fn closes(&self, _index: usize) -> bool {
        true
    }
    /// A slot, there or not, will be read soon: memory may fetch it.
    #[inline(always)]
    fn prefetch(&self, _index: usize) {}
    /// The same of a cold slot.
    #[inline(always)]
    fn prefetch_cold(&self, _index: usize) {}
}

/// Slots that are looked at together, a bit each.
const BLOCK: usize = 64;

/// Slots that memory fetches ahead: a page of the smallest, so that its address is known in time as well.
const AHEAD: usize = 64;

/// Slots of all partitions together that have a turn: their records fit into a CPU's cache.
const TURN: usize = 4096;

/// A slot's fate when its record is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The slot is free.
    Free,
    /// The slot stays retired: the caller calls [`free`], or the ledger of deliveries sets its state.
    Keep,
}

/// A slot between steps 1 and 3.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// A map's elements are counted in 32 bits.
    index: u32,
    reason: EndReason,
}

impl Due {
    const fn index(self) -> usize {
        self.index as usize
    }
}

/// Where a sweep ran out of room, and its findings so far.
#[derive(Clone, Copy, Debug)]
struct SweepCursor {
    /// The first slot that the next look has to see.
    next: usize,
    forced: Option<EndReason>,
    /// When it began, nanoseconds.
    began: u64,
    /// None of the slots before is due before this.
    known: u64,
    /// Slots that it left live.
    live: u64,
}

/// The retirement of one table.
#[derive(Debug)]
pub struct Retirement {
    /// One bit a slot: FIN or RST was seen at an earlier look.
    closing: Vec<u64>,
    closing_count: usize,
    /// Slots between steps 1 and 3.
    retired: Vec<Due>,
    /// No slot is due before this, whatever opened since the last look.
    earliest: u64,
    /// None of the slots that are known of is due before this.
    known: u64,
    /// The next look goes on where the last one ran out of room.
    cursor: Option<SweepCursor>,
    /// The idle timeout of aggressive aging, nanoseconds.
    short_idle: Option<u64>,
    /// Slots that go on for another timeout when they are due, unless forced.
    pub(crate) spared: Vec<usize>,
    /// Slots that the last look left live, if it saw all.
    live: Option<u64>,
    /// When the slots of each block are due, where every packet is told of.
    calendar: Option<calendar::Calendar>,
}

impl Default for Retirement {
    fn default() -> Self {
        Self {
            closing: Vec::new(),
            closing_count: 0,
            retired: Vec::new(),
            earliest: 0,
            known: u64::MAX,
            cursor: None,
            short_idle: None,
            spared: Vec::new(),
            live: None,
            calendar: None,
        }
    }
}

impl Retirement {
    /// Whether a look at the table at `now` can find a due slot. `closings`: a FIN or RST came since the last one.
    pub fn is_due(&self, now: u64, closings: bool) -> bool {
        if let Some(calendar) = &self.calendar {
            return now >= calendar.earliest();
        }
        now >= self.earliest || closings || self.closing_count > 0 || self.short_idle.is_some()
    }

    /// Sets the idle timeout of aggressive aging, nanoseconds: flows that retire by it alone end for lack of
    /// resources. A flow of several packets may be idle for longer, and one of a class with timeouts of its own in
    /// proportion to them.
    pub const fn shorten_idle(&mut self, idle: Option<u64>) {
        self.short_idle = idle;
    }

    /// Slots that the last look left live; `None` if it ran out of room before it had seen all.
    pub const fn live(&self) -> Option<u64> {
        self.live
    }

    fn is_aging(&self, peek: &Peek, now: u64, scaled: impl FnOnce(u64) -> u64) -> bool {
        self.short_idle.is_some_and(|idle| {
            let idle = scaled(idle);
            let idle = if peek.last > peek.first { idle.saturating_mul(LASTING) } else { idle };
            now >= peek.last.saturating_add(idle)
        })
    }

    /// When a slot that is known of is due at the earliest; 0 while a flow closes.
    ///
    /// Known slots are those of the last sweep and those of [`Retirement::expect`].
    pub fn next_due(&self) -> u64 {
        if let Some(calendar) = &self.calendar {
            return calendar.earliest();
        }
        if self.closing_count > 0 { 0 } else { self.known }
    }

    /// Tells of a packet whose flow is due at `due` at the earliest.
    pub fn expect(&mut self, due: u64) {
        self.known = self.known.min(due);
        self.earliest = self.earliest.min(due);
        // The slot may be among those that an unfinished sweep has passed.
        if let Some(cut) = &mut self.cursor {
            cut.known = cut.known.min(due);
        }
    }

    /// Step 1: retires slots that are due at `now`, at most `room`. Gives the number of slots retired.
    ///
    /// With `forced`, every live slot is due. A flow that saw FIN or RST is due at the second sweep. After a
    /// sweep that ran out of room the next one continues behind its last slot, if `forced` is the same.
    pub fn mark<T: Table>(
        &mut self,
        table: &mut T,
        now: u64,
        timeouts: Timeouts,
        forced: Option<EndReason>,
        room: usize,
    ) -> usize {
        let slots = table.len();
        self.mark_first(table, slots, now, timeouts, forced, room)
    }

    /// The same, if nothing lives but in the first `slots`.
    pub(crate) fn mark_first<T: Table>(
        &mut self,
        table: &mut T,
        slots: usize,
        now: u64,
        timeouts: Timeouts,
        forced: Option<EndReason>,
        room: usize,
    ) -> usize {
        self.closing.resize(table.len().div_ceil(64), 0);
        if forced.is_none()
            && let Some(marked) = self.mark_by_calendar(table, now, timeouts, room)
        {
            return marked;
        }
        match timeouts.by_class() {
            true => self.sweep::<T, true>(table, slots, now, timeouts, forced, room),
            false => self.sweep::<T, false>(table, slots, now, timeouts, forced, room),
        }
    }

    /// A sweep over the first `slots`; `BY_CLASS` where classes of protocols have timeouts of their own, so that a sweep
    /// without them reads no protocol.
    fn sweep<T: Table, const BY_CLASS: bool>(
        &mut self,
        table: &mut T,
        slots: usize,
        now: u64,
        timeouts: Timeouts,
        forced: Option<EndReason>,
        room: usize,
    ) -> usize {
        let whole = SweepCursor { next: 0, forced, began: now, known: u64::MAX, live: 0 };
        let part = self.cursor.take().filter(|cut| cut.forced == forced && cut.next < slots).unwrap_or(whole);
        let SweepCursor { began, mut known, mut live, .. } = part;
        let mut left = room;
        let (shorter, common) = (timeouts.shortest(), timeouts.common());
        'sweep: for (first, count) in blocks(part.next, slots) {
            let mut lives = lives(table, first, count);
            while lives != 0 {
                let index = first + lives.trailing_zeros() as usize;
                lives &= lives - 1;
                let peek = table.peek(index);
                let limits = if BY_CLASS { *timeouts.of(|| table.protocol(index)) } else { common };
                let due = limits.due(peek.first, peek.last);
                let scaled = |idle| if BY_CLASS { timeouts.scaled(idle, &limits) } else { idle };
                let end = forced.or_else(|| self.end(index, &peek, now, due, scaled));
                let end = end.filter(|_| forced.is_some() || !self.spared.contains(&index));
                let Some(reason) = end else {
                    live += 1;
                    // A slot that was due and spared is swept again no sooner than a new flow.
                    known = known.min(if now < due.0 { due.0 } else { now.saturating_add(shorter) });
                    if peek.tcp_flags & FIN_OR_RST != 0 && table.closes(index) {
                        self.set_closing(index);
                    }
                    continue;
                };
                let Ok(number) = u32::try_from(index) else { break 'sweep };
                if left == 0 {
                    self.cursor = Some(SweepCursor { next: index, known, live, ..part });
                    known = now;
                    break 'sweep;
                }
                left -= 1;
                table.set_state(index, RETIRED);
                self.retired.push(Due { index: number, reason });
            }
        }
        self.known = known;
        self.live = self.cursor.is_none().then_some(live);
        // A flow that opened after this look began is not due before its shorter timeout.
        self.earliest = known.min(began.saturating_add(shorter));
        room - left
    }

    /// Why a slot is due, if it is: by `due`, as its timeouts have it, or by aggressive aging.
    fn end(
        &self,
        index: usize,
        peek: &Peek,
        now: u64,
        (due, reason): (u64, EndReason),
        scaled: impl FnOnce(u64) -> u64,
    ) -> Option<EndReason> {
        if self.is_closing(index) {
            Some(EndReason::EndOfFlow)
        } else if now >= due {
            Some(reason)
        } else {
            self.is_aging(peek, now, scaled).then_some(EndReason::LackOfResources)
        }
    }

    /// The slots that were marked last, so many.
    pub(crate) fn last(&self, marked: usize) -> impl Iterator<Item = usize> {
        self.retired.iter().rev().take(marked).map(|due| due.index())
    }

    /// Takes slots out again, of which there is nothing to tell: the caller frees them.
    pub fn drop_empty<T: Table>(&mut self, table: &T, mut empty: impl FnMut(usize)) {
        let mut retired = std::mem::take(&mut self.retired);
        retired.retain(|due| {
            let kept = table.copy(due.index()).sums().0 > 0;
            if !kept {
                self.clear_closing(due.index());
                empty(due.index());
            }
            kept
        });
        self.retired = retired;
    }

    /// Step 3, after the grace period: hands each retired flow to `sink`, with its slot.
    pub fn collect<T: Table>(
        &mut self,
        table: &mut T,
        then: Then,
        mut sink: impl FnMut(usize, SlotFlow<'_>, EndReason),
    ) {
        let mut retired = std::mem::take(&mut self.retired);
        self.take(table, &retired, then, &mut sink);
        // The memory serves the next look.
        retired.clear();
        self.retired = retired;
    }

    /// The same of a table with partitions of `partition` slots: some of each in turn, so that the slots of
    /// one flow come soon after each other.
    pub fn collect_in_turns<T: Table>(
        &mut self,
        table: &mut T,
        partition: usize,
        then: Then,
        mut sink: impl FnMut(Turn, usize, SlotFlow<'_>, EndReason),
    ) {
        let mut retired = std::mem::take(&mut self.retired);
        // Each look marks in the order of the slots; several before this may have begun anew.
        if !retired.is_sorted_by_key(|due| due.index) {
            retired.sort_by_key(|due| due.index);
        }
        let mut runs = runs(&retired, partition);
        let turn = (TURN / runs.len().max(1)).max(WINDOW as usize);
        while let Some(start) = runs.iter().filter_map(Run::next).min() {
            for run in &mut runs {
                let (now, later) = run.before(start + turn);
                run.due = later;
                let base = run.base;
                self.take(table, now, then, &mut |index, part, reason| {
                    sink(Turn { start, offset: index - base }, index, part, reason);
                });
            }
        }
        retired.clear();
        self.retired = retired;
    }

    fn take<T: Table>(
        &mut self,
        table: &mut T,
        retired: &[Due],
        then: Then,
        sink: &mut impl FnMut(usize, SlotFlow<'_>, EndReason),
    ) {
        let mut row = [0; WIDEST];
        for (place, due) in retired.iter().enumerate() {
            if let Some(ahead) = retired.get(place + AHEAD) {
                table.prefetch(ahead.index());
                table.prefetch_cold(ahead.index());
            }
            let index = due.index();
            self.clear_closing(index);
            let slot = table.copy(index);
            let flow = SlotFlow { counters: &slot.counters(), cold: table.cold(index, &mut row) };
            sink(index, flow, slot.reason(due.reason));
            if then == Then::Free {
                free(table, index);
            }
        }
    }

    fn is_closing(&self, index: usize) -> bool {
        self.closing_count > 0
            && self.closing.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn set_closing(&mut self, index: usize) {
        if let Some(word) = self.closing.get_mut(index / 64) {
            *word |= 1 << (index % 64);
            self.closing_count += 1;
        }
    }

    fn clear_closing(&mut self, index: usize) {
        if self.is_closing(index)
            && let Some(word) = self.closing.get_mut(index / 64)
        {
            *word &= !(1 << (index % 64));
            self.closing_count -= 1;
        }
    }
}

/// Cuts slots from `start` on into runs of [`BLOCK`] at most: the first slot, and how many.
fn blocks(start: usize, slots: usize) -> impl Iterator<Item = (usize, usize)> {
    (start..slots).step_by(BLOCK).map(move |first| (first, BLOCK.min(slots - first)))
}

/// The live ones of `count` slots, a bit each, without a branch that a CPU could mispredict.
fn lives(table: &impl Table, first: usize, count: usize) -> u64 {
    (0..count).fold(0, |lives, place| {
        table.prefetch(first + place + AHEAD);
        lives | u64::from(table.state(first + place) == LIVE) << place
    })
}

/// The end of step 3: the slot of a record that is kept elsewhere is free again.
pub fn free<T: Table>(table: &mut T, index: usize) {
    table.set_state(index, FREE);
}

/// Slots that an earlier agent had retired and not freed, with the collectors that have them, a bit each.
///
/// Of those only the bits of `known` count: the others are those of nobody. To be called after a grace
/// period, before anything else is marked.
pub fn recover<T: Table>(
    table: &mut T,
    known: u32,
    now: u64,
    timeouts: Timeouts,
    mut sink: impl FnMut(usize, u32, SlotFlow<'_>, EndReason),
) {
    let mut row = [0; WIDEST];
    for index in 0..table.len() {
        let state = table.state(index);
        if !is_retired(state) {
            continue;
        }
        let has = has(state) & known;
        table.set_state(index, retired(has));
        let slot = table.copy(index);
        let counters = slot.counters();
        let (due, reason) = timeouts.of(|| counters.key.protocol).due(counters.first, counters.last);
        let end = match counters.tcp_flags & FIN_OR_RST {
            0 if now < due => EndReason::Forced,
            0 => reason,
            _ => EndReason::EndOfFlow,
        };
        let flow = SlotFlow { counters: &counters, cold: table.cold(index, &mut row) };
        sink(index, has, flow, slot.reason(end));
    }
}
