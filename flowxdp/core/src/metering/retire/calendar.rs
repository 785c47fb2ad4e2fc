//! When a slot of each block is due at the earliest, so that a look passes over blocks in which none can be.
//!
//! For a table whose packets are known one by one, with the slot of each: a capture's. A look at the whole
//! table for each second of a day would take longer than all packets of that day.

use flowxdp_common::slot::RETIRED;

use super::{BLOCK, Due, Retirement, SweepCursor, Table, Timeouts, lives};
use crate::metering::slots::FIN_OR_RST;

/// A tree of minima over the blocks; the root is at 1, the children of `node` at `2 * node` and behind it.
#[derive(Debug)]
pub(super) struct Calendar {
    /// Nanoseconds of the table's clock; `u64::MAX` where no slot lives.
    tree: Vec<u64>,
    /// The first block's place, a power of two.
    leaves: usize,
}

impl Calendar {
    fn new(slots: usize) -> Self {
        let leaves = slots.div_ceil(BLOCK).next_power_of_two();
        Self { tree: vec![u64::MAX; leaves * 2], leaves }
    }

    /// No slot is due before this.
    pub(super) fn earliest(&self) -> u64 {
        self.at(1)
    }

    fn at(&self, node: usize) -> u64 {
        self.tree.get(node).copied().unwrap_or(u64::MAX)
    }

    /// A slot of the block may be due at `due`.
    fn note(&mut self, block: usize, due: u64) {
        let mut node = self.leaves + block;
        while let Some(earliest) = self.tree.get_mut(node).filter(|earliest| node > 0 && **earliest > due) {
            *earliest = due;
            node /= 2;
        }
    }

    /// No slot of the block is due before `due`, which a look found.
    fn set(&mut self, block: usize, due: u64) {
        let mut node = self.leaves + block;
        if let Some(earliest) = self.tree.get_mut(node) {
            *earliest = due;
        }
        while node > 1 {
            node /= 2;
            let least = self.at(2 * node).min(self.at(2 * node + 1));
            if let Some(earliest) = self.tree.get_mut(node) {
                *earliest = least;
            }
        }
    }

    /// The first block from `from` on in which a slot may be due at `now`.
    fn first(&self, from: usize, now: u64) -> Option<usize> {
        let mut node = self.leaves + from;
        if from >= self.leaves {
            return None;
        }
        // Up and to the right until there is one below, then down to the first.
        while self.at(node) > now {
            while node % 2 == 1 {
                node /= 2;
            }
            if node == 0 {
                return None;
            }
            node += 1;
        }
        while node < self.leaves {
            node = if self.at(2 * node) <= now { 2 * node } else { 2 * node + 1 };
        }
        Some(node - self.leaves)
    }
}

impl Retirement {
    /// From now on every packet of the table, empty so far, is told of by [`Retirement::note`], and a look sees
    /// those slots alone that may be due.
    pub fn with_calendar(&mut self, slots: usize) {
        self.calendar = Some(Calendar::new(slots));
    }

    /// A packet came into a slot whose flow is due at `due` at the earliest by it; `closing`: with FIN or RST.
    pub fn note(&mut self, index: usize, due: u64, closing: bool) {
        if let Some(calendar) = &mut self.calendar {
            calendar.note(index / BLOCK, if closing { 0 } else { due });
        }
    }

    /// Whether a look at `now` would find anything, of which the calendar may be too early: packets that came
    /// since it was noted have moved when their flow is due.
    pub fn finds<T: Table>(&mut self, table: &T, now: u64, timeouts: Timeouts) -> bool {
        let Some(mut calendar) = self.calendar.take() else { return self.is_due(now, false) };
        let mut next = 0;
        while let Some(block) = calendar.first(next, now) {
            let due = self.block_due(table, block * BLOCK, timeouts);
            calendar.set(block, due);
            if due <= now {
                break;
            }
            next = block + 1;
        }
        let finds = calendar.earliest() <= now;
        self.calendar = Some(calendar);
        finds
    }

    /// When a slot of a block is due at the earliest; 0 where one closes.
    fn block_due<T: Table>(&self, table: &T, first: usize, timeouts: Timeouts) -> u64 {
        let mut lives = lives(table, first, BLOCK.min(table.len() - first));
        let mut earliest = u64::MAX;
        while lives != 0 {
            let index = first + lives.trailing_zeros() as usize;
            lives &= lives - 1;
            let peek = table.peek(index);
            let closes = peek.tcp_flags & FIN_OR_RST != 0 && table.closes(index);
            earliest = earliest.min(if closes {
                0
            } else {
                timeouts.of(|| table.protocol(index)).due(peek.first, peek.last).0
            });
        }
        earliest
    }

    /// [`Retirement::mark`] by the calendar, where nothing is forced and there is one.
    pub(super) fn mark_by_calendar<T: Table>(
        &mut self,
        table: &mut T,
        now: u64,
        timeouts: Timeouts,
        room: usize,
    ) -> Option<usize> {
        let mut calendar = self.calendar.take()?;
        let (mut next, mut left) = (self.cursor.take().map_or(0, |cut| cut.next), room);
        while let Some(block) = calendar.first(next / BLOCK, now) {
            let first = block * BLOCK;
            let Some(due) = self.mark_block(table, first, next, now, timeouts, &mut left) else { break };
            calendar.set(block, due);
            next = first + BLOCK;
        }
        self.known = calendar.earliest();
        self.calendar = Some(calendar);
        Some(room - left)
    }

    /// Retires the due slots of a block, from the slot `from` on. Gives when the first of the others is due;
    /// `None` where the room ends in this block.
    fn mark_block<T: Table>(
        &mut self,
        table: &mut T,
        first: usize,
        from: usize,
        now: u64,
        timeouts: Timeouts,
        left: &mut usize,
    ) -> Option<u64> {
        let mut earliest = u64::MAX;
        let mut lives = lives(table, first, BLOCK.min(table.len() - first));
        while lives != 0 {
            let index = first + lives.trailing_zeros() as usize;
            lives &= lives - 1;
            let peek = table.peek(index);
            let limits = timeouts.of(|| table.protocol(index));
            let due = limits.due(peek.first, peek.last);
            // This look has seen those before `from` already.
            let end = self.end(index, &peek, now, due, |idle| timeouts.scaled(idle, limits));
            let end = end.filter(|_| index >= from);
            if let (Some(reason), Ok(number)) = (end, u32::try_from(index)) {
                if *left == 0 {
                    self.cursor =
                        Some(SweepCursor { next: index, forced: None, began: now, known: now, live: 0 });
                    return None;
                }
                *left -= 1;
                table.set_state(index, RETIRED);
                self.retired.push(Due { index: number, reason });
                continue;
            }
            let closes = peek.tcp_flags & FIN_OR_RST != 0 && table.closes(index);
            if closes && !self.is_closing(index) {
                self.set_closing(index);
            }
            earliest = earliest.min(if closes { 0 } else { due.0 });
        }
        Some(earliest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Calendar;

    proptest! {
        #[test]
        fn the_first_block_is_the_one_that_a_search_finds(
            blocks in 1..40_usize,
            steps in proptest::collection::vec((any::<prop::sample::Index>(), 0..20_u64, any::<bool>()), 0..60),
            from in 0..45_usize,
            now in 0..20_u64,
        ) {
            let mut calendar = Calendar::new(blocks * super::BLOCK);
            let mut model = vec![u64::MAX; blocks];
            for (block, due, exact) in steps {
                let block = block.index(blocks);
                if exact {
                    calendar.set(block, due);
                    model[block] = due;
                } else {
                    calendar.note(block, due);
                    model[block] = model[block].min(due);
                }
            }
            prop_assert_eq!(calendar.earliest(), model.iter().copied().min().unwrap());
            let expected = (from..blocks).find(|&block| model[block] <= now);
            prop_assert_eq!(calendar.first(from, now), expected);
        }
    }
}
