//! From the ring buffer into the spill table, by the agent's own code.

use flowxdp_common::slot::SpillSlot;
use flowxdp_core::metering::spill::Spill;

use crate::{
    cell::{Cell, Op},
    process::{Access, Go},
    scenario::{Broken, Scenario},
    table::{NOW, Shared, TIMEOUTS, key},
};

/// Takes over the spill table, as the next agent does, and then every event that lies in the ring.
pub(crate) fn drain(scenario: &Scenario, access: &mut Access<'_>) -> Go<()> {
    let mut position = access.step(Op::Load(Cell::Consumer))?;
    let mut table = Shared::spill(scenario, access);
    let mut spill = Spill::recover(&mut table, position);
    // The model knows flows by their number, and an aggregate has none.
    spill.without_aggregates();
    while table.step(Op::Load(Cell::Producer)).is_some_and(|end| position < end) {
        let place = usize::try_from(position).expect("few events");
        let event = table.step(Op::Load(Cell::Event(place))).unwrap_or_default();
        let consume = Op::Store(Cell::Consumer, position + 1);
        if scenario.is(Broken::ConsumeFirst) {
            table.step(consume);
        }
        let (flow, octets) = (event & 0xff, event >> 8);
        let packet =
            SpillSlot { key: key(flow), packets: 1, octets, first: NOW, last: NOW, ..SpillSlot::default() };
        spill.push(&mut table, &packet, &[], position, TIMEOUTS);
        table.settle();
        table.step(consume);
        position += 1;
    }
    table.end()
}
