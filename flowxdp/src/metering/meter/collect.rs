//! Step 3 of retirement in every table: marked slots become records, one for each flow.
//!
//! Records go out as they are made. Only flows that others may be joined to wait: flows of the spill table
//! and of draining tables until the sweep has ended, and flows met on two CPUs until the sweep passed their
//! window of slots.

use flowxdp_common::field::Groups;
use flowxdp_core::{
    clock::WallClock,
    metering::deliveries::{Place, SlotRef},
    metering::merge::{self, Merge},
    metering::retire::{Retirement, Table, Then},
    metering::slots::SlotFlow,
    record::{DeliveryId, EndReason, FlowKey, FlowRecord},
};

use super::Meter;
use crate::{exporting::deliveries::SharedLedger, kernel::claims};

/// Where records go.
pub(super) struct Out<S> {
    ledger: Option<SharedLedger>,
    clock: WallClock,
    records: usize,
    sink: S,
}

impl<S: FnMut(FlowRecord, &[u8])> Out<S> {
    pub(super) const fn new(ledger: Option<SharedLedger>, clock: WallClock, sink: S) -> Self {
        Self { ledger, clock, records: 0, sink }
    }

    /// Makes a record of a flow and its slots.
    pub(super) fn record(&mut self, flow: &SlotFlow<'_>, reason: EndReason, slots: &[SlotRef]) {
        let delivery = match &self.ledger {
            Some(ledger) if !slots.is_empty() => ledger.borrow_mut().keep(slots, 0),
            _ => DeliveryId::NONE,
        };
        self.records += 1;
        (self.sink)(merge::record(flow, reason, self.clock, delivery), flow.cold);
    }

    /// Records so far.
    pub(super) const fn records(&self) -> usize {
        self.records
    }
}

/// Flows that go on while others fill the tables.
struct Lasting {
    aging: bool,
    /// Keys, with the segments of their tunnels.
    flows: Vec<((FlowKey, u32), EndReason)>,
    groups: Groups,
}

impl Lasting {
    fn note(&mut self, part: &SlotFlow<'_>, reason: EndReason) {
        let early = reason == EndReason::LackOfResources && part.last > part.first;
        if self.aging && (early || reason == EndReason::ActiveTimeout) {
            self.flows.push(((part.key, part.segment(self.groups)), reason));
        }
    }
}

/// One of the kernel's tables.
struct Shared<'a, T> {
    table: &'a mut T,
    retirement: &'a mut Retirement,
    /// Slots of a partition, where more than one is in use.
    partition: Option<usize>,
    /// The table's place, if its slots stay retired.
    kept: Option<Place>,
}

impl Meter {
    /// Step 3 in every table.
    pub(super) fn collect(&mut self, now: u64, out: &mut Out<impl FnMut(FlowRecord, &[u8])>) {
        let kept = self.ledger.is_some();
        let (loaded, merge, across_cpus) = (&mut self.loaded, &mut self.merge, &mut self.across_cpus);
        let then = if kept { Then::Keep } else { Then::Free };
        for draining in &mut self.draining {
            draining.collect(then, |slot, flow, end| merge.push(flow, end, slot));
        }
        let groups = loaded.size.groups.with_cold_fields();
        let mut lasting = Lasting { aging: self.watch.is_aging(), flows: Vec::new(), groups };
        let mut done = Vec::new();
        self.spill.collect(&mut loaded.spill, |index, flow, reason| {
            lasting.note(&flow, reason);
            let slot = kept.then(|| SlotRef::new(Place::SPILL, index));
            // An aggregate has the key of a flow from nowhere, and is none.
            match reason {
                EndReason::Aggregated => merge.push_unmerged(flow, reason, slot),
                _ => merge.push(flow, reason, slot),
            }
            done.push(index);
        });
        done.drain(..).filter(|_| !kept).for_each(|index| self.spill.free(&mut loaded.spill, index));
        let partitions = loaded.size.partitions as usize;
        let used = claims::used(&loaded.cpus, partitions);
        let partition = |slots: usize| (used > 1).then_some(slots / partitions.max(1));
        let v4 = Shared {
            partition: partition(Table::len(&loaded.flows_v4)),
            table: &mut loaded.flows_v4,
            retirement: &mut self.retired_v4,
            kept: kept.then(|| Place::v4(self.generation)),
        };
        v4.collect(merge, across_cpus, &mut lasting, out);
        let v6 = Shared {
            partition: partition(Table::len(&loaded.flows_v6)),
            table: &mut loaded.flows_v6,
            retirement: &mut self.retired_v6,
            kept: kept.then(|| Place::v6(self.generation)),
        };
        v6.collect(merge, across_cpus, &mut lasting, out);
        merge.drain(|flow, reason, slots| out.record(&flow, reason, slots));
        for ((flow, segment), ended) in &lasting.flows {
            self.spill.keep(&mut loaded.spill, (flow, *segment), now, *ended);
        }
    }
}

impl<T: Table> Shared<'_, T> {
    fn collect(
        self,
        merge: &mut Merge,
        across_cpus: &mut Merge,
        lasting: &mut Lasting,
        out: &mut Out<impl FnMut(FlowRecord, &[u8])>,
    ) {
        let Self { table, retirement, partition, kept } = self;
        let then = if kept.is_some() { Then::Keep } else { Then::Free };
        let slot = |index| kept.map(|place| SlotRef::new(place, index));
        let Some(partition) = partition else {
            return retirement.collect(table, then, |index, flow, reason| {
                lasting.note(&flow, reason);
                let slot = slot(index);
                if !merge.join(&flow, reason, slot) {
                    out.record(&flow, reason, slot.as_slice());
                }
            });
        };
        retirement.collect_in_turns(table, partition, then, |turn, index, flow, reason| {
            lasting.note(&flow, reason);
            let slot = slot(index);
            if !merge.join(&flow, reason, slot) {
                across_cpus.push_across_cpus(turn, &flow, reason, slot, |flow, end, slots| {
                    out.record(&flow, end, slots)
                });
            }
        });
        across_cpus.drain(|flow, reason, slots| out.record(&flow, reason, slots));
    }
}
