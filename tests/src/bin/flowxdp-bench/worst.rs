//! The worst that a window of the flow table can do to a packet: all of its slots are taken, and the flow is
//! in the last one, or in none.
//!
//! Strangers fill every slot that no flow has. They are flows of no packets, with a key that no packet has.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use flowxdp::kernel::load::Loaded;
use flowxdp::kernel::map::Mapped;
use flowxdp_common::overflow::Event;
use flowxdp_common::slot::{FREE, LIVE, SlotV4, SlotV6, WINDOW};
use flowxdp_core::metering::retire::Table;
use flowxdp_core::metering::slots::Slot;

use crate::load::Load;
use crate::measure::{self, Group};
use crate::subject::{Kind, Subject};

/// The reference of the comparison.
const HOME: &str = "in the home slot";
/// Flows before the first sweep of the table: few enough for each to get its home slot, but for a few.
const BATCH: u32 = 1_000;
/// Octets of an event in the ring buffer, with its header.
const EVENT: usize = size_of::<Event>() + 8;

/// Measures the shipped program in all three cases.
pub(crate) fn group(load: Load, rounds: u32, packets: u32) -> Result<Group> {
    let parse = Subject::new(Kind::Parse, load)?;
    let mut home = Subject::new(Kind::Shipped, load)?;
    home.run(load.flows)?;
    let mut last = Subject::new(Kind::Shipped, load)?;
    let ring = (packets as usize).saturating_mul(EVENT).max(1 << 16).checked_next_power_of_two();
    let ring = ring.and_then(|octets| u32::try_from(octets).ok());
    let ring = ring.context("no ring buffer holds a turn: lower --packets")?;
    let mut full = Subject::new(Kind::ShippedWithRing(ring), load)?;
    if load.family.is_v6() {
        let stranger = SlotV6 { state: LIVE, ..SlotV6::default() };
        to_last_slots(&mut last, load.flows, |loaded| &mut loaded.flows_v6, &stranger)?;
        fill(&mut full.loaded()?.flows_v6, &stranger);
    } else {
        let stranger = SlotV4 { state: LIVE, ..SlotV4::default() };
        to_last_slots(&mut last, load.flows, |loaded| &mut loaded.flows_v4, &stranger)?;
        fill(&mut full.loaded()?.flows_v4, &stranger);
    }
    let subjects = vec![
        ("parse and pass", parse),
        (HOME, home),
        ("in the last slot of a full window", last),
        ("window full, to the ring buffer", full),
    ];
    measure::turns(load, HOME, subjects, rounds, packets)
}

/// Puts a stranger into every free slot.
fn fill<S: Slot>(table: &mut Mapped<S>, stranger: &S)
where
    Mapped<S>: Table<Slot = S>,
{
    for index in 0..Mapped::len(table) {
        if table.state(index) == FREE {
            table.write(index, stranger);
        }
    }
}

/// Runs each flow once and puts it into the last slot of its window, or the last one that no other flow has.
/// Strangers get the rest.
fn to_last_slots<S: Slot>(
    subject: &mut Subject,
    flows: u32,
    table: impl Fn(&mut Loaded) -> &mut Mapped<S>,
    stranger: &S,
) -> Result<()>
where
    Mapped<S>: Table<Slot = S>,
{
    let (mut found, mut left) = (Vec::new(), flows);
    while left > 0 {
        let batch = left.min(BATCH);
        subject.run(batch)?;
        left -= batch;
        let table = table(subject.loaded()?);
        for home in 0..Mapped::len(table) {
            if table.state(home) != FREE {
                found.push((home, table.copy(home)));
                table.set_state(home, FREE);
            }
        }
    }
    ensure!(found.len() == flows as usize, "{} slots of {flows} flows", found.len());
    let table = table(subject.loaded()?);
    let mut places = BTreeMap::new();
    for (home, slot) in found {
        let mut window = (home..Mapped::len(table).min(home + WINDOW as usize)).rev();
        let place = window.find(|place| !places.contains_key(place));
        places.insert(place.context("a window is full of flows: raise --table")?, slot);
    }
    for (place, slot) in places {
        table.write(place, &slot);
    }
    fill(table, stranger);
    Ok(())
}
