//! First packets of flows, inspected for names a few at a time.

use flowxdp_common::{
    field::{self, Group, Groups},
    reason::SKIPPED,
};
use flowxdp_core::{
    books,
    clock::WallClock,
    record::{FlowRecord, Total},
};

use crate::{
    kernel::copies::{Copies, Offered},
    names::Namer,
};

/// Packets that a turn inspects, at most: a QUIC Initial takes some 10 microseconds.
const TURN: usize = 64;

/// The inspector of an agent, and the packets on their way to it.
pub struct Inspection {
    namer: Namer,
    /// The oldest first; the last one is filled.
    rings: Vec<Copies>,
    /// The program that meters copies packets.
    is_on: bool,
    /// Counters of programs that went.
    before: Offered,
    inspected: Total,
}

impl Inspection {
    /// Without a ring nothing is inspected.
    pub fn new(copies: Option<Copies>) -> Self {
        let is_on = copies.is_some();
        let rings = copies.into_iter().collect();
        Self {
            namer: Namer::default(),
            rings,
            is_on,
            before: Offered::default(),
            inspected: Total::default(),
        }
    }

    /// Another program meters from now on, and the program of before has ended.
    pub fn replace(&mut self, copies: Option<Copies>) {
        self.is_on = copies.is_some();
        self.rings.extend(copies);
    }

    /// Whether packets may come.
    pub const fn has_rings(&self) -> bool {
        !self.rings.is_empty()
    }

    /// Inspects a turn's share of packets, the oldest first; true where more may wait. Times are
    /// those of records, by `clock`.
    pub fn turn(&mut self, clock: WallClock) -> bool {
        let mut left = TURN;
        for ring in &mut self.rings {
            let (namer, inspected) = (&mut self.namer, &mut self.inspected);
            left -= ring.take(left, |header, frame| {
                drop(namer.frame(frame, header.wire, clock.wall_ms(header.time)));
                *inspected += Total { packets: 1, octets: u64::from(header.wire) };
            });
        }
        if left > 0 {
            self.forget_empty();
        }
        left == 0
    }

    /// Hands a record to `sink`, with its names behind its extension row where their group is collected.
    pub fn record(
        &mut self,
        groups: Groups,
        record: FlowRecord,
        more: &[u8],
        sink: &mut impl FnMut(FlowRecord, &[u8]),
    ) {
        if groups.has(Group::Names) {
            sink(record, self.namer.row(&record, more, field::width(groups)));
        } else {
            sink(record, more);
        }
    }

    /// Inspects all packets that are there now, and few of those that come meanwhile.
    pub fn all(&mut self, clock: WallClock) {
        let waiting = self.books().map_or(u64::MAX, |books| books.waiting.packets);
        for _ in 0..waiting.div_ceil(TURN as u64) {
            if !self.turn(clock) {
                break;
            }
        }
    }

    /// The books, where packets are inspected.
    pub fn books(&self) -> Option<books::Names> {
        if !self.is_on {
            return None;
        }
        let mut counted = self.before;
        self.rings.iter().for_each(|ring| counted += ring.offered());
        let mut names =
            books::Names { offered: counted.offered, inspected: self.inspected, ..Default::default() };
        for (reason, total) in SKIPPED.iter().zip(counted.skipped) {
            names.skipped.insert(reason.name.to_owned(), total);
        }
        names.wait();
        Some(names)
    }

    /// Rings of earlier programs go once they are empty; their counters stay.
    fn forget_empty(&mut self) {
        let kept = usize::from(self.is_on);
        let gone = self.rings.len().saturating_sub(kept);
        for ring in self.rings.drain(..gone) {
            self.before += ring.offered();
        }
    }
}
