//! Tables that drain: of another size, or of an agent with another layout.

use aya::maps::{Map, MapData, RingBuf};
use flowxdp_common::{
    field::Groups,
    names,
    slot::{self, FREE, LIVE, SpillSlot},
};
use flowxdp_core::{
    metering::deliveries::{Place, SlotRef},
    metering::other_layout,
    metering::retire::{self, Retirement, Table, Then, Timeouts},
    metering::slots::SlotFlow,
    record::{EndReason, Total},
};

use super::in_slots;
use crate::kernel::{other_layout::OtherLayout, pin};

struct DrainingTable {
    place: Place,
    name: &'static str,
    table: OtherLayout,
    retirement: Retirement,
}

/// All tables of one generation.
pub struct Draining {
    /// The generation.
    pub generation: pin::Generation,
    tables: Vec<DrainingTable>,
}

impl Draining {
    /// Opens the tables of a generation.
    ///
    /// # Errors
    ///
    /// A pin is gone, or does not fit the descriptor.
    ///
    /// Cold fields are read in the layout of `groups`.
    pub fn open(generation: &pin::Generation, groups: Groups) -> anyhow::Result<Self> {
        let number = generation.number;
        let all = [
            (Place::v4(number), names::FLOWS_V4, true),
            (Place::v6(number), names::FLOWS_V6, true),
            // Of the same layout, that table goes on.
            (Place::spill_of(number), names::SPILL, !generation.is_known()),
        ];
        let mut tables = Vec::new();
        for ((place, name, here), fields) in all.into_iter().zip(&generation.descriptor.fields) {
            if here {
                let table =
                    OtherLayout::open(generation, name, fields)?.with_cold(generation, name, groups)?;
                tables.push(DrainingTable { place, name, table, retirement: Retirement::default() });
            }
        }
        Ok(Self { generation: generation.clone(), tables })
    }

    /// Cold fields are read in the layout of other `groups` from now on.
    ///
    /// # Errors
    ///
    /// A pin is gone.
    pub(super) fn read_cold(&mut self, groups: Groups) -> anyhow::Result<()> {
        let generation = &self.generation;
        let mut tables = self.tables.iter_mut();
        tables.try_for_each(|it| it.table.read_cold(generation, it.name, groups))
    }

    /// The flows in a table of another layout, which no counter of ours has seen. The bits for collectors
    /// refer to a journal of that layout, which this agent cannot read: they are ignored.
    pub(super) fn take_over(&mut self) -> Total {
        let mut total = Total::default();
        for DrainingTable { table, .. } in &mut self.tables {
            total += retire::in_table(table);
            for index in 0..table.len() {
                if slot::is_retired(table.state(index)) {
                    table.set_state(index, slot::retired(0));
                }
            }
        }
        total
    }

    /// Of another layout: hands each packet that waits in its ring buffer to `sink`.
    pub(super) fn drain_ring(&self, mut sink: impl FnMut(&SpillSlot)) {
        let fields = &self.generation.descriptor.fields[3];
        let path = self.generation.directory.join(names::OVERFLOW);
        let ring = MapData::from_pin(&path).map_err(anyhow::Error::new);
        let ring = ring.and_then(|map| RingBuf::try_from(Map::RingBuf(map)).map_err(Into::into));
        let mut ring = match ring {
            Ok(ring) => ring,
            Err(error) => return log::error!("{} cannot be read: {error:#}", path.display()),
        };
        while let Some(item) = ring.next() {
            if item.len() == usize::from(fields.whole) {
                sink(&SpillSlot { state: LIVE, ..other_layout::slot(fields, &item) });
            } else {
                log::error!("{} holds an event of {} octets", path.display(), item.len());
            }
        }
    }

    /// As [`retire::recover`], with the place of each slot.
    pub(super) fn recover(
        &mut self,
        known: u32,
        now: u64,
        timeouts: Timeouts,
        mut sink: impl FnMut(Place, usize, u32, SlotFlow<'_>, EndReason),
    ) {
        for DrainingTable { place, table, .. } in &mut self.tables {
            retire::recover(table, known, now, timeouts, |index, has, flow, end| {
                sink(*place, index, has, flow, end);
            });
        }
    }

    /// Marks at most `room` slots, and gives their number: all of them are due.
    pub(super) fn mark(&mut self, now: u64, timeouts: Timeouts, room: usize) -> usize {
        let mut marked = 0;
        for DrainingTable { table, retirement, .. } in &mut self.tables {
            marked += retirement.mark(table, now, timeouts, Some(EndReason::Forced), room - marked);
            let mut empty = Vec::new();
            retirement.drop_empty(table, |index| empty.push(index));
            empty.into_iter().for_each(|index| retire::free(table, index));
        }
        marked
    }

    /// Hands the marked slots on. Slots stay retired with `then`, and have a reference.
    pub(super) fn collect(
        &mut self,
        then: Then,
        mut sink: impl FnMut(Option<SlotRef>, SlotFlow<'_>, EndReason),
    ) {
        for DrainingTable { place, table, retirement, .. } in &mut self.tables {
            retirement.collect(table, then, |index, flow, end| {
                sink((then == Then::Keep).then(|| SlotRef::new(*place, index)), flow, end);
            });
        }
    }

    /// The tables' places.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.tables.iter().map(|table| table.place)
    }

    /// Packets and octets in live slots, or in all that are not free.
    pub(super) fn in_slots(&self, live: bool) -> Total {
        let mut total = Total::default();
        self.tables.iter().for_each(|DrainingTable { table, .. }| total += in_slots(table, live));
        total
    }

    /// Whether every slot was let go of.
    pub(super) fn is_empty(&self) -> bool {
        let busy = |draining: &DrainingTable| {
            (0..draining.table.len()).any(|index| draining.table.state(index) != FREE)
        };
        !self.tables.iter().any(busy)
    }
}
