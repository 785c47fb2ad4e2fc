//! The agent's own flow table: its rules, its bound, and that it outlives the agent at any instant.

mod memory;

use std::collections::BTreeMap;

use flowxdp_common::{
    key::Rest,
    overflow::Event,
    slot::{LIVE, RETIRED},
};
use flowxdp_core::{
    clock::SECOND,
    overflow::Overflow,
    record::{EndReason, Total},
    retire::{Timeouts, in_table},
    slots::{self, Part},
};
use memory::Memory;
use proptest::prelude::*;

const TIMEOUTS: Timeouts = Timeouts { idle: 15 * SECOND, active: 60 * SECOND };
const FIN: u16 = 0x01;

fn event(port: u16, time: u64, octets: u32, tcp_flags: u16) -> Event {
    let [high, low] = port.to_be_bytes();
    let rest = Rest { ports: [0, 0, high, low], protocol: 6, ..Rest::default() };
    Event { rest, octets, time, tcp_flags, ttl: 9, version: 4, ..Event::default() }
}

/// A new agent.
fn adopt(memory: &mut Memory) -> Overflow {
    let position = memory.position;
    Overflow::adopt(memory, position)
}

/// What the agent does with the first event in the ring.
fn take(memory: &mut Memory, own: &mut Overflow) -> bool {
    let packet = memory.event().expect("an event");
    let position = memory.position;
    let added = own.push(memory, &packet, position, TIMEOUTS);
    if added {
        memory.consume();
    }
    added
}

fn add(memory: &mut Memory, own: &mut Overflow, event: Event) -> bool {
    memory.ring.push_back(event);
    let added = take(memory, own);
    memory.ring.clear();
    added
}

/// All three steps of a look.
fn look(
    memory: &mut Memory,
    own: &mut Overflow,
    now: u64,
    forced: Option<EndReason>,
    room: usize,
) -> Vec<(Part, EndReason)> {
    let (mut out, mut done) = (Vec::new(), Vec::new());
    own.mark(memory, now, TIMEOUTS, forced, room);
    own.collect(memory, |index, part, reason| {
        out.push((part, reason));
        done.push(index);
    });
    done.into_iter().for_each(|index| own.free(memory, index));
    out
}

#[test]
fn it_has_the_rules_of_the_kernels_tables_and_a_bound() {
    let mut memory = Memory::new(2);
    let mut own = adopt(&mut memory);
    assert_eq!(own.next_due(), u64::MAX);
    assert!(add(&mut memory, &mut own, event(1, SECOND, 100, 0)));
    assert!(add(&mut memory, &mut own, event(2, SECOND, 100, 0)));
    assert_eq!(own.next_due(), 16 * SECOND);
    assert!(!add(&mut memory, &mut own, event(3, SECOND, 100, 0)));
    assert!(add(&mut memory, &mut own, event(1, 9 * SECOND, 40, 0)));
    assert_eq!((own.len(), in_table(&memory)), (2, Total { packets: 3, octets: 240 }));
    assert!(look(&mut memory, &mut own, 16 * SECOND - 1, None, 9).is_empty());
    let idle = look(&mut memory, &mut own, 16 * SECOND, None, 9);
    assert_eq!(idle.len(), 1);
    assert_eq!((idle[0].0.key.destination_port, idle[0].1), (2, EndReason::IdleTimeout));
    let rest = look(&mut memory, &mut own, 17 * SECOND, Some(EndReason::Forced), 9);
    assert_eq!((rest[0].0.packets, rest[0].0.octets, rest[0].1), (2, 140, EndReason::Forced));
    assert!(own.is_empty());
    assert_eq!(in_table(&memory), Total::default());
}

#[test]
fn a_closed_connection_is_due_at_the_second_look() {
    let mut memory = Memory::new(2);
    let mut own = adopt(&mut memory);
    add(&mut memory, &mut own, event(1, SECOND, 100, 0));
    assert!(look(&mut memory, &mut own, SECOND, None, 9).is_empty());
    add(&mut memory, &mut own, event(1, SECOND + 1, 100, FIN));
    assert_eq!(own.next_due(), 0);
    assert!(look(&mut memory, &mut own, 2 * SECOND, None, 9).is_empty());
    assert_eq!(own.next_due(), 0);
    add(&mut memory, &mut own, event(1, 2 * SECOND + 1, 40, 0x10));
    let out = look(&mut memory, &mut own, 3 * SECOND, None, 9);
    assert_eq!((out[0].0.packets, out[0].1), (3, EndReason::EndOfFlow));
}

#[test]
fn a_packet_of_a_retired_flow_opens_a_new_slot() {
    let mut memory = Memory::new(2);
    let mut own = adopt(&mut memory);
    add(&mut memory, &mut own, event(1, SECOND, 100, 0));
    assert_eq!(own.mark(&mut memory, 16 * SECOND, TIMEOUTS, None, 9), 1);
    assert!(add(&mut memory, &mut own, event(1, 16 * SECOND, 40, 0)));
    let mut kept = Vec::new();
    own.collect(&memory, |index, part, _| kept.push((index, part.octets)));
    assert_eq!(kept, [(0, 100)]);
    assert_eq!(memory.slots.iter().map(|slot| slot.state).collect::<Vec<_>>(), [RETIRED, LIVE]);
    // Not freed yet: no room for another flow, and a successor finds both.
    assert!(!add(&mut memory, &mut own, event(2, 16 * SECOND, 40, 0)));
    let mut heir = adopt(&mut memory);
    assert_eq!((heir.len(), in_table(&memory).octets), (1, 140));
    heir.free(&mut memory, 0);
    assert!(add(&mut memory, &mut heir, event(2, 16 * SECOND, 40, 0)));
}

#[test]
fn ipv4_and_ipv6_with_the_same_octets_are_two_flows() {
    let mut memory = Memory::new(2);
    let mut own = adopt(&mut memory);
    add(&mut memory, &mut own, event(1, SECOND, 100, 0));
    add(&mut memory, &mut own, Event { version: 6, ..event(1, SECOND, 100, 0) });
    assert_eq!(own.len(), 2);
    assert_eq!(slots::event(&Event { version: 5, ..event(1, SECOND, 100, 0) }), None);
}

/// What every flow must have, and what it has in slots and records.
type Flows = BTreeMap<u16, (u64, u64)>;

fn count(flows: &mut Flows, port: u16, packets: u64, octets: u64) {
    let flow = flows.entry(port).or_default();
    flow.0 += packets;
    flow.1 += octets;
}

fn found(memory: &Memory, records: &[(Part, EndReason)]) -> Flows {
    let mut flows = Flows::new();
    let live = memory.slots.iter().filter(|slot| slot.state != 0).map(slots::Slot::part);
    for part in live.chain(records.iter().map(|(part, _)| *part)) {
        count(&mut flows, part.key.destination_port, part.packets, part.octets);
    }
    flows
}

proptest! {
    /// An agent that dies after any number of words, and the next one, again and again: nothing is lost,
    /// nothing is doubled, and each flow has what it was sent.
    #[test]
    fn no_death_loses_or_doubles_a_packet(
        packets in prop::collection::vec((0_u16..6, 0_u64..10, 40_u32..1500, any::<bool>()), 1..60),
        lives in prop::collection::vec(0_usize..120, 0..40),
        looks in prop::collection::vec((0_usize..5, 0_usize..4), 0..40),
    ) {
        let (mut memory, mut now, mut sent) = (Memory::new(32), 0, Flows::new());
        for (port, seconds, octets, fin) in packets {
            now += seconds * SECOND;
            memory.ring.push_back(event(port, now, octets, if fin { FIN } else { 0 }));
            count(&mut sent, port, 1, u64::from(octets));
        }
        let (mut lives, mut looks, mut records) = (lives.into_iter(), looks.into_iter(), Vec::new());
        loop {
            // A new agent; the last one lives for ever.
            memory.life = lives.next().unwrap_or(usize::MAX);
            let mut own = adopt(&mut memory);
            while memory.life > 0 && !memory.ring.is_empty() {
                let time = memory.ring[0].time;
                prop_assert!(take(&mut memory, &mut own));
                // Looks are whole: what dies within one is the journal's matter, not this table's.
                if let Some((2.., room)) = looks.next() && memory.life > 0 {
                    let life = std::mem::replace(&mut memory.life, usize::MAX);
                    records.extend(look(&mut memory, &mut own, time, None, room));
                    memory.life = life;
                }
            }
            if memory.life > 0 {
                memory.life = usize::MAX;
                records.extend(look(&mut memory, &mut own, now, Some(EndReason::Forced), usize::MAX));
                prop_assert!(own.is_empty());
                break;
            }
        }
        prop_assert_eq!(found(&memory, &records), sent);
        prop_assert_eq!(in_table(&memory), Total::default());
    }
}

/// Every point within one event: a flow that is new, and one that is known.
#[test]
fn death_at_every_word_of_an_event() {
    for known in [false, true] {
        for life in 0..60 {
            let mut memory = Memory::new(2);
            let mut own = adopt(&mut memory);
            if known {
                add(&mut memory, &mut own, event(1, SECOND, 100, 0));
            }
            memory.ring.push_back(event(1, 2 * SECOND, 40, 0));
            memory.life = life;
            take(&mut memory, &mut own);
            memory.life = usize::MAX;
            let mut heir = adopt(&mut memory);
            while !memory.ring.is_empty() {
                take(&mut memory, &mut heir);
            }
            let wanted = if known { (2, 140) } else { (1, 40) };
            assert_eq!(found(&memory, &[])[&1], wanted, "after {life} words, known: {known}");
            assert_eq!(heir.len(), 1);
        }
    }
}
