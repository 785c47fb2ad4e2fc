//! The spill table: its rules, its bound, and that it outlives the agent at any instant.

mod memory;

use std::collections::BTreeMap;

use flowxdp_common::{
    field::{self, Group, Groups},
    key::KeyTail,
    overflow::Event,
    slot::{LIVE, RETIRED},
};
use flowxdp_core::{
    clock::SECOND,
    metering::retire::{Timeouts, in_table},
    metering::slots::{self, FlowCounters},
    metering::spill::Spill,
    record::{Addresses, EndReason, FlowKey, Total},
};
use memory::{GROUPS, Memory};
use proptest::prelude::*;

const TIMEOUTS: Timeouts = Timeouts::new(15 * SECOND, 60 * SECOND);
const FIN: u16 = 0x01;
/// 28 flows, an aggregate by destination, two by protocol, one by version.
const SLOTS: usize = 32;
/// Of the flows those that only flows which go on may take.
const RESERVE: usize = 3;

fn event(port: u16, time: u64, octets: u32, tcp_flags: u16) -> Event {
    let [high, low] = port.to_be_bytes();
    let rest = KeyTail { ports: [0, 0, high, low], protocol: 6, ..KeyTail::default() };
    Event { rest, octets, time, tcp_flags, ttl: 9, version: 4, ..Event::default() }
}

/// A new agent.
fn recover(memory: &mut Memory) -> Spill {
    let position = memory.position;
    Spill::recover(memory, position)
}

/// The agent's handling of the first event in the ring.
fn take(memory: &mut Memory, spill: &mut Spill) -> bool {
    let packet = memory.event().expect("an event");
    let position = memory.position;
    let added = spill.push(memory, &packet, &[], position, TIMEOUTS);
    if added {
        memory.consume();
    }
    added
}

fn add(memory: &mut Memory, spill: &mut Spill, event: Event) -> bool {
    memory.ring.push_back(event);
    let added = take(memory, spill);
    memory.ring.clear();
    added
}

/// All three steps of a look.
fn sweep(
    memory: &mut Memory,
    spill: &mut Spill,
    now: u64,
    forced: Option<EndReason>,
    room: usize,
) -> Vec<(FlowCounters, EndReason)> {
    let (mut out, mut done) = (Vec::new(), Vec::new());
    spill.mark(memory, now, TIMEOUTS, forced, room);
    spill.collect(memory, |index, part, reason| {
        out.push((*part.counters, reason));
        done.push(index);
    });
    done.into_iter().for_each(|index| spill.free(memory, index));
    out
}

#[test]
fn it_has_the_rules_of_the_kernels_tables() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    assert_eq!(spill.next_due(), u64::MAX);
    assert!(add(&mut memory, &mut spill, event(1, SECOND, 100, 0)));
    assert!(add(&mut memory, &mut spill, event(2, SECOND, 100, 0)));
    assert_eq!(spill.next_due(), 16 * SECOND);
    assert!(add(&mut memory, &mut spill, event(1, 9 * SECOND, 40, 0)));
    assert_eq!((spill.len(), in_table(&memory)), (2, Total { packets: 3, octets: 240 }));
    assert!(sweep(&mut memory, &mut spill, 16 * SECOND - 1, None, 9).is_empty());
    let idle = sweep(&mut memory, &mut spill, 16 * SECOND, None, 9);
    assert_eq!(idle.len(), 1);
    assert_eq!((idle[0].0.key.destination_port, idle[0].1), (2, EndReason::IdleTimeout));
    let rest = sweep(&mut memory, &mut spill, 17 * SECOND, Some(EndReason::Forced), 9);
    assert_eq!((rest[0].0.packets, rest[0].0.octets, rest[0].1), (2, 140, EndReason::Forced));
    assert!(spill.is_empty());
    assert_eq!(in_table(&memory), Total::default());
}

/// The length fields have 16 bits, the sums 64.
#[test]
fn packets_above_65535_octets_count_in_full_and_have_the_largest_length() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    for octets in [70_000, 65_536, 100] {
        assert!(add(&mut memory, &mut spill, event(1, SECOND, octets, 0)));
    }
    assert!(add(&mut memory, &mut spill, event(2, SECOND, u32::MAX, 0)));
    let mut parts = sweep(&mut memory, &mut spill, 2 * SECOND, Some(EndReason::Forced), 9);
    parts.sort_by_key(|(part, _)| part.key.destination_port);
    let lengths = parts.iter().map(|(part, _)| (part.octets, part.length_min, part.length_max));
    assert!(lengths.eq([(135_636, 100, u16::MAX), (u32::MAX.into(), u16::MAX, u16::MAX)]));
}

#[test]
fn under_pressure_idle_flows_go_sooner_and_those_that_go_on_later() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    add(&mut memory, &mut spill, event(1, 10 * SECOND, 100, 0));
    add(&mut memory, &mut spill, event(2, 9 * SECOND, 100, 0));
    add(&mut memory, &mut spill, event(2, 10 * SECOND, 100, 0));
    spill.shorten_idle(Some(SECOND));
    assert!(sweep(&mut memory, &mut spill, 11 * SECOND - 1, None, 9).is_empty());
    let out = sweep(&mut memory, &mut spill, 11 * SECOND, None, 9);
    assert_eq!((out.len(), out[0].0.key.destination_port, out[0].1), (1, 1, EndReason::LackOfResources));
    spill.shorten_idle(Some(SECOND / 2));
    assert!(sweep(&mut memory, &mut spill, 18 * SECOND - 1, None, 9).is_empty());
    let out = sweep(&mut memory, &mut spill, 18 * SECOND, None, 9);
    assert_eq!((out.len(), out[0].0.packets, out[0].1), (1, 2, EndReason::LackOfResources));
    // A flow that is due by the configured timeout ends by that reason.
    add(&mut memory, &mut spill, event(3, 20 * SECOND, 100, 0));
    assert_eq!(sweep(&mut memory, &mut spill, 35 * SECOND, None, 9)[0].1, EndReason::IdleTimeout);
    // And without pressure nothing is early.
    add(&mut memory, &mut spill, event(4, 40 * SECOND, 100, 0));
    spill.shorten_idle(None);
    assert!(sweep(&mut memory, &mut spill, 55 * SECOND - 1, None, 9).is_empty());
}

/// A packet to an address and port.
fn to(host: u8, port: u16, protocol: u8) -> Event {
    let mut event = event(port, SECOND, 100, FIN);
    event.addresses[..8].copy_from_slice(&[10, 0, 0, 1, 192, 0, 2, host]);
    (event.rest.protocol, event.rest.tos, event.rest.vlan, event.rest.ingress) = (protocol, 8, 7, 3);
    event.rest.ports[..2].copy_from_slice(&[0x12, 0x34]);
    event
}

/// A row with one octet of the destination MAC address and one of the extension headers.
fn cold(mac: u8, extensions: u8) -> Vec<u8> {
    let mut row = vec![0; field::width(GROUPS)];
    (row[0], row[19]) = (mac, extensions);
    row
}

#[test]
fn cold_fields_are_those_of_the_first_packet_and_an_aggregate_has_none() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    let mut push = |event: &Event, row: &[u8]| {
        let packet = slots::event(event).expect("an event");
        assert!(spill.push(&mut memory, &packet, row, 0, TIMEOUTS));
    };
    push(&event(1, 2 * SECOND, 100, 0), &cold(1, 0x02));
    push(&event(1, 3 * SECOND, 100, 0), &cold(2, 0x20));
    // A replay's times may go back.
    push(&event(1, SECOND, 100, 0), &cold(3, 0x01));
    for port in 2..100 {
        push(&to(1, port, 6), &cold(9, 0x04));
    }
    let mut found = Vec::new();
    spill.mark(&mut memory, 9 * SECOND, TIMEOUTS, Some(EndReason::Forced), 99);
    spill.collect(&mut memory, |_, flow, reason| found.push((flow.packets, reason, flow.cold.to_vec())));
    assert!(found.contains(&(3, EndReason::Forced, cold(3, 0x23))));
    let of = |reason| found.iter().filter(move |(_, end, _)| *end == reason);
    assert!(of(EndReason::Forced).skip(1).all(|(_, _, row)| *row == cold(9, 0x04)));
    assert!(of(EndReason::Aggregated).count() > 0);
    assert!(of(EndReason::Aggregated).all(|(_, _, row)| *row == cold(0, 0)));
}

#[test]
fn events_say_the_groups_of_their_cold_fields() {
    let hot = Event { groups: u16::try_from(GROUPS.bits()).unwrap(), ..event(1, SECOND, 100, 0) };
    let octets = [bytemuck::bytes_of(&hot), &cold(5, 0x40)].concat();
    let (packet, row) = slots::event_octets(&octets, GROUPS).expect("an event");
    assert_eq!((packet.packets, &row[..24]), (1, &cold(5, 0x40)[..]));
    // Another configuration's: fields that both have.
    let (_, row) = slots::event_octets(&octets, Groups::BASE.with(Group::Ipv6)).expect("an event");
    assert_eq!((row[7], row[8..].iter().all(|octet| *octet == 0)), (0x40, true));
    assert!(slots::event_octets(&octets[..80], GROUPS).is_none());
    assert!(slots::event_octets(&octets[..64], GROUPS).is_none());
}

#[test]
fn what_cannot_be_kept_apart_is_aggregated_and_says_so() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    let (_, room) = spill.flows();
    let most = room - RESERVE;
    let sent = [
        // As many flows as there may be, and another packet of one of them when it is full.
        (0..most).map(|port| to(1, u16::try_from(port).unwrap_or(0), 6)).collect::<Vec<_>>(),
        // To one destination: two packets. Then others: by protocol.
        vec![to(9, 80, 6), to(9, 80, 6), to(1, 0, 6), to(9, 81, 6), to(8, 80, 6)],
        vec![to(8, 53, 17), to(8, 53, 58)],
        // The unspecified address stands for all destinations.
        vec![Event { addresses: [0; 32], ..to(9, 80, 6) }],
    ]
    .concat();
    for event in &sent {
        assert!(add(&mut memory, &mut spill, *event));
    }
    assert_eq!(spill.flows(), (most, room));
    let records = sweep(&mut memory, &mut spill, SECOND, Some(EndReason::Forced), 99);
    let (flows, aggregates): (Vec<_>, Vec<_>) =
        records.iter().partition(|(_, reason)| *reason == EndReason::Forced);
    assert_eq!(flows.iter().map(|(part, _)| part.packets).sum::<u64>(), most as u64 + 1);
    let mut told: Vec<_> = aggregates
        .iter()
        .map(|(part, reason)| {
            assert_eq!(*reason, EndReason::Aggregated);
            let Addresses::V4 { source, destination } = part.key.addresses else { panic!("{part:?}") };
            let key = part.key;
            assert_eq!((source, key.source_port, key.tos, key.vlan), ([0; 4], 0, 0, 0));
            (destination, key.destination_port, key.protocol, key.ingress, part.packets, part.octets)
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ([0; 4], 0, 6, 3, 3, 300),
            ([0; 4], 0, 17, 3, 1, 100),
            ([0; 4], 0, 255, 0, 1, 100),
            ([192, 0, 2, 9], 80, 6, 3, 2, 200),
        ]
    );
    assert_eq!(in_table(&memory), Total::default());
    // All are free again.
    assert!(add(&mut memory, &mut spill, to(1, 7, 6)));
    assert_eq!(spill.flows(), (1, room));
}

#[test]
fn a_flow_that_goes_on_is_kept_apart_from_a_flood() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    for port in 0..100 {
        assert!(add(&mut memory, &mut spill, to(1, port, 17)));
    }
    let flood = in_table(&memory);
    let flow = slots::flow_key(&slots::event(&to(1, 7000, 6)).expect("an event").key);
    let other = FlowKey { destination_port: 7001, ..flow };
    spill.keep(&mut memory, (&flow, 0), 2 * SECOND, EndReason::ActiveTimeout);
    spill.keep(&mut memory, (&flow, 0), 2 * SECOND, EndReason::ActiveTimeout);
    spill.keep(&mut memory, (&other, 0), 2 * SECOND, EndReason::LackOfResources);
    assert_eq!(in_table(&memory), flood, "nothing of it is in the books");
    for time in [3, 4] {
        let mut packet = to(1, 7000, 6);
        packet.time = time * SECOND;
        assert!(add(&mut memory, &mut spill, packet));
    }
    // The one that did not go on leaves no record, in an heir's hands neither.
    let mut spill = recover(&mut memory);
    let records = sweep(&mut memory, &mut spill, 5 * SECOND, Some(EndReason::Forced), 999);
    let of = |port| records.iter().filter(|(part, _)| part.key.destination_port == port).collect::<Vec<_>>();
    let [(kept, EndReason::Forced)] = of(7000)[..] else { panic!("{:?}", of(7000)) };
    assert_eq!((kept.packets, kept.octets, kept.first, kept.last), (2, 200, 3 * SECOND, 4 * SECOND));
    assert_eq!((kept.key, kept.ttl_min, kept.length_min), (flow, 9, 100));
    assert!(of(7001).is_empty());
    assert_eq!((spill.flows().0, in_table(&memory)), (0, Total::default()));
}

#[test]
fn an_event_waits_when_not_even_an_aggregate_has_room() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    for port in 0..1000 {
        assert!(add(&mut memory, &mut spill, to(1, port, 6)));
    }
    // All retire, and none is free yet.
    let marked = spill.mark(&mut memory, SECOND, TIMEOUTS, Some(EndReason::Forced), SLOTS);
    let (mut total, mut kept, mut port) = (in_table(&memory), Vec::new(), 0);
    spill.collect(&mut memory, |index, _, _| kept.push(index));
    assert_eq!(kept.len(), marked);
    while add(&mut memory, &mut spill, to(2, port, 6)) {
        total += Total { packets: 1, octets: 100 };
        port += 1;
        if port % 9 == 0 {
            spill.mark(&mut memory, SECOND, TIMEOUTS, Some(EndReason::Forced), SLOTS);
            spill.collect(&mut memory, |index, _, _| kept.push(index));
        }
    }
    assert!(spill.is_blocked());
    assert_eq!(in_table(&memory), total);
    kept.into_iter().for_each(|index| spill.free(&mut memory, index));
    spill.mark(&mut memory, SECOND, TIMEOUTS, None, 0);
    assert!(add(&mut memory, &mut spill, to(2, port, 6)) && !spill.is_blocked());
}

#[test]
fn a_connection_that_ends_does_not_end_the_aggregate_that_it_is_in() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    for port in 0..100 {
        assert!(add(&mut memory, &mut spill, to(1, port, 6)));
    }
    let aggregates = |records: &[(FlowCounters, EndReason)]| {
        records.iter().filter(|(_, reason)| *reason == EndReason::Aggregated).count()
    };
    let (first, second) = (
        sweep(&mut memory, &mut spill, SECOND, None, 99),
        sweep(&mut memory, &mut spill, 2 * SECOND, None, 99),
    );
    assert_eq!((first.len(), aggregates(&second)), (0, 0));
    assert!(second.iter().all(|(_, reason)| *reason == EndReason::EndOfFlow) && second.len() > 20);
    // One by destination, one by protocol.
    assert_eq!(aggregates(&sweep(&mut memory, &mut spill, 16 * SECOND, None, 99)), 2);
}

#[test]
fn a_closed_connection_is_due_at_the_second_look() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    add(&mut memory, &mut spill, event(1, SECOND, 100, 0));
    assert!(sweep(&mut memory, &mut spill, SECOND, None, 9).is_empty());
    add(&mut memory, &mut spill, event(1, SECOND + 1, 100, FIN));
    assert_eq!(spill.next_due(), 0);
    assert!(sweep(&mut memory, &mut spill, 2 * SECOND, None, 9).is_empty());
    assert_eq!(spill.next_due(), 0);
    add(&mut memory, &mut spill, event(1, 2 * SECOND + 1, 40, 0x10));
    let out = sweep(&mut memory, &mut spill, 3 * SECOND, None, 9);
    assert_eq!((out[0].0.packets, out[0].1), (3, EndReason::EndOfFlow));
}

#[test]
fn a_packet_of_a_retired_flow_opens_a_new_slot() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    add(&mut memory, &mut spill, event(1, SECOND, 100, 0));
    assert_eq!(spill.mark(&mut memory, 16 * SECOND, TIMEOUTS, None, 9), 1);
    assert!(add(&mut memory, &mut spill, event(1, 16 * SECOND, 40, 0)));
    let mut kept = Vec::new();
    spill.collect(&mut memory, |index, part, _| kept.push((index, part.octets)));
    assert_eq!(kept, [(0, 100)]);
    assert_eq!(memory.slots[..2].iter().map(|slot| slot.state).collect::<Vec<_>>(), [RETIRED, LIVE]);
    // Not freed yet: the slot takes room, and a successor finds both.
    let mut heir = recover(&mut memory);
    assert_eq!((heir.len(), heir.flows().0, in_table(&memory).octets), (1, 2, 140));
    heir.free(&mut memory, 0);
    assert_eq!((heir.len(), heir.flows().0, in_table(&memory).octets), (1, 1, 40));
}

#[test]
fn ipv4_and_ipv6_with_the_same_octets_are_two_flows() {
    let mut memory = Memory::new(SLOTS);
    let mut spill = recover(&mut memory);
    add(&mut memory, &mut spill, event(1, SECOND, 100, 0));
    add(&mut memory, &mut spill, Event { version: 6, ..event(1, SECOND, 100, 0) });
    assert_eq!(spill.len(), 2);
    assert_eq!(slots::event(&Event { version: 5, ..event(1, SECOND, 100, 0) }), None);
}

/// Each flow's sent packets, and its packets in slots and records.
type Flows = BTreeMap<u16, (u64, u64)>;

fn count(flows: &mut Flows, port: u16, packets: u64, octets: u64) {
    let flow = flows.entry(port).or_default();
    flow.0 += packets;
    flow.1 += octets;
}

fn found(memory: &Memory, records: &[(FlowCounters, EndReason)]) -> Flows {
    let mut flows = Flows::new();
    let live = memory.slots.iter().filter(|slot| slot.state != 0).map(slots::Slot::counters);
    for part in live.chain(records.iter().map(|(part, _)| *part)) {
        count(&mut flows, part.key.destination_port, part.packets, part.octets);
    }
    flows
}

proptest! {
    /// However many slots stay retired for a collector that is away, each packet finds room, and is counted.
    #[test]
    fn there_is_room_for_every_packet(
        seconds in prop::collection::vec((1_u64..40, any::<[u16; 40]>(), 0_usize..9), 1..60)
    ) {
        let mut memory = Memory::new(128);
        let (mut spill, mut now, mut sent, mut told) = (recover(&mut memory), SECOND, 0, 0);
        let mut kept = Vec::new();
        for (pause, packets, free) in seconds {
            now += pause * SECOND;
            for word in packets {
                let [protocol, port] = word.to_be_bytes();
                let packet = to(port, word, protocol % 64);
                let version = if word % 5 == 0 { 6 } else { 4 };
                let added = add(&mut memory, &mut spill, Event { time: now, version, ..packet });
                prop_assert!(added, "no room for {:?}", packet);
                sent += 1;
            }
            spill.mark(&mut memory, now, TIMEOUTS, None, usize::MAX);
            spill.collect(&mut memory, |index, part, _| {
                kept.push((index, part.packets));
            });
            // The collector comes now and then, and takes the oldest.
            for (index, packets) in kept.drain(..free.saturating_sub(5).min(kept.len())) {
                told += packets;
                spill.free(&mut memory, index);
            }
            prop_assert_eq!(told + in_table(&memory).packets, sent);
        }
    }

    /// An agent that dies after any number of words, and the next one, again and again: no packet is lost or
    /// doubled, and each flow has its packets.
    #[test]
    fn no_death_loses_or_doubles_a_packet(
        packets in prop::collection::vec((0_u16..6, 0_u64..10, 40_u32..1500, any::<bool>()), 1..60),
        lives in prop::collection::vec(0_usize..120, 0..40),
        looks in prop::collection::vec((0_usize..5, 0_usize..4), 0..40),
    ) {
        let (mut memory, mut now, mut sent) = (Memory::new(SLOTS), 0, Flows::new());
        for (port, seconds, octets, fin) in packets {
            now += seconds * SECOND;
            memory.ring.push_back(event(port, now, octets, if fin { FIN } else { 0 }));
            count(&mut sent, port, 1, u64::from(octets));
        }
        let (mut lives, mut looks, mut records) = (lives.into_iter(), looks.into_iter(), Vec::new());
        loop {
            // A new agent; the last one lives for ever.
            memory.life = lives.next().unwrap_or(usize::MAX);
            let mut spill = recover(&mut memory);
            while memory.life > 0 && !memory.ring.is_empty() {
                let time = memory.ring[0].time;
                prop_assert!(take(&mut memory, &mut spill));
                // Sweeps are whole: a kill within one is the journal's matter, not this table's.
                if let Some((2.., room)) = looks.next() && memory.life > 0 {
                    let life = std::mem::replace(&mut memory.life, usize::MAX);
                    records.extend(sweep(&mut memory, &mut spill, time, None, room));
                    memory.life = life;
                }
            }
            if memory.life > 0 {
                memory.life = usize::MAX;
                records.extend(sweep(&mut memory, &mut spill, now, Some(EndReason::Forced), usize::MAX));
                prop_assert!(spill.is_empty());
                break;
            }
        }
        prop_assert_eq!(found(&memory, &records), sent);
        prop_assert_eq!(in_table(&memory), Total::default());
    }
}

/// Every point within one event: a flow that is new, one that is known, and one that a slot was kept for.
#[test]
fn death_at_every_word_of_an_event() {
    for (known, kept) in [(false, false), (true, false), (false, true)] {
        for life in 0..60 {
            let mut memory = Memory::new(SLOTS);
            let mut spill = recover(&mut memory);
            if known {
                add(&mut memory, &mut spill, event(1, SECOND, 100, 0));
            }
            let packet = event(1, 2 * SECOND, 40, 0);
            if kept {
                spill.keep(
                    &mut memory,
                    (&slots::flow_key(&slots::event(&packet).expect("one").key), 0),
                    SECOND,
                    EndReason::ActiveTimeout,
                );
            }
            memory.ring.push_back(packet);
            memory.life = life;
            take(&mut memory, &mut spill);
            memory.life = usize::MAX;
            let mut heir = recover(&mut memory);
            while !memory.ring.is_empty() {
                take(&mut memory, &mut heir);
            }
            let wanted = if known { (2, 140) } else { (1, 40) };
            assert_eq!(found(&memory, &[])[&1], wanted, "after {life} words, known: {known}");
            assert_eq!(heir.len(), 1);
        }
    }
}
