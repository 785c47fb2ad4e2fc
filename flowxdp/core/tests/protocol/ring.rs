//! From the ring buffer into the agent's own table, by the agent's own code.

use flowxdp_common::slot::SlotOwn;
use flowxdp_core::overflow::Overflow;

use crate::{
    cell::{Cell, Op},
    process::{Access, Go},
    scenario::{Broken, Scenario},
    table::{NOW, Shared, TIMEOUTS, key},
};

/// Takes over the own table, as the next agent does, and then every event that lies in the ring.
pub(crate) fn drain(scenario: &Scenario, access: &mut Access<'_>) -> Go<()> {
    let mut position = access.step(Op::Load(Cell::Consumer))?;
    let mut own = Shared::own(scenario, access);
    let mut overflow = Overflow::adopt(&mut own, position);
    // The model knows flows by their number, and an aggregate has none.
    overflow.without_aggregates();
    while own.step(Op::Load(Cell::Producer)).is_some_and(|end| position < end) {
        let place = usize::try_from(position).expect("few events");
        let event = own.step(Op::Load(Cell::Event(place))).unwrap_or_default();
        let consume = Op::Store(Cell::Consumer, position + 1);
        if scenario.is(Broken::ConsumeFirst) {
            own.step(consume);
        }
        let (flow, octets) = (event & 0xff, event >> 8);
        let packet =
            SlotOwn { key: key(flow), packets: 1, octets, first: NOW, last: NOW, ..SlotOwn::default() };
        overflow.push(&mut own, &packet, &[], position, TIMEOUTS);
        own.settle();
        own.step(consume);
        position += 1;
    }
    own.end()
}
