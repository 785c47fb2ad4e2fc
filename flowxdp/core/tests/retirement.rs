//! The life of flows from slot to record, with a table in memory and a clock that only the test moves.

use std::collections::BTreeMap;

use bytemuck::Zeroable;
use flowxdp_common::{
    field::{self, Cold, Group, Groups},
    slot::{FREE, LIVE, RETIRED, SlotV4, WINDOW},
};
use flowxdp_core::{
    books::{Books, Bracket, Collector},
    clock::{SECOND, WallClock},
    metering::deliveries::{Place, SlotRef},
    metering::merge::{Merge, record},
    metering::retire::{Peek, Retirement, Table, Then, Timeouts, free, in_table},
    metering::slots::{FlowCounters, Slot, SlotFlow},
    record::{DeliveryId, EndReason, FlowRecord, RecordTotal, Total},
};
use proptest::prelude::*;

const TIMEOUTS: Timeouts = Timeouts::new(15 * SECOND, 60 * SECOND);
const FIN: u16 = 0x01;

/// A table as the kernel and the agent share it, here without a kernel.
struct Slots(Vec<SlotV4>);

impl Slots {
    fn empty(slots: usize) -> Self {
        Self(vec![SlotV4::zeroed(); slots])
    }

    /// The slot of a flow.
    fn find(&self, port: u16) -> Option<usize> {
        let [high, low] = port.to_be_bytes();
        self.0.iter().position(|slot| slot.state == LIVE && slot.key.rest.ports[2..] == [high, low])
    }

    /// As the XDP program: searches the whole window for the flow, then for a free slot.
    fn packet(&mut self, port: u16, time: u64, octets: u64, tcp_flags: u16) -> bool {
        let mut key = SlotV4::zeroed().key;
        key.rest.ports = [0, 0, port.to_be_bytes()[0], port.to_be_bytes()[1]];
        key.rest.protocol = 6;
        if let Some(slot) = self.0.iter_mut().find(|slot| slot.state == LIVE && slot.key == key) {
            slot.packets += 1;
            slot.octets += octets;
            (slot.first, slot.last) = (slot.first.min(time), slot.last.max(time));
            slot.tcp_flags |= tcp_flags;
            return true;
        }
        let Some(slot) = self.0.iter_mut().find(|slot| slot.state == FREE) else { return false };
        *slot = SlotV4 {
            key,
            tcp_flags,
            packets: 1,
            octets,
            first: time,
            last: time,
            state: LIVE,
            ..SlotV4::zeroed()
        };
        true
    }
}

impl Table for Slots {
    type Slot = SlotV4;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn state(&self, index: usize) -> u32 {
        self.0[index].state
    }

    fn peek(&self, index: usize) -> Peek {
        let slot = &self.0[index];
        Peek { first: slot.first, last: slot.last, tcp_flags: slot.tcp_flags }
    }

    fn copy(&self, index: usize) -> SlotV4 {
        self.0[index]
    }

    fn set_state(&mut self, index: usize, state: u32) {
        let allowed = matches!((self.0[index].state, state), (LIVE, RETIRED) | (RETIRED, FREE));
        assert!(allowed, "{} to {state}", self.0[index].state);
        self.0[index].state = state;
    }
}

fn sweep(table: &mut Slots, retirement: &mut Retirement, now: u64) -> Vec<(FlowCounters, EndReason)> {
    retirement.mark(table, now, TIMEOUTS, None, usize::MAX);
    collect(table, retirement)
}

/// Step 3 with its end.
fn collect(table: &mut Slots, retirement: &mut Retirement) -> Vec<(FlowCounters, EndReason)> {
    let mut out = Vec::new();
    retirement.collect(table, Then::Free, |_, flow, reason| out.push((*flow.counters, reason)));
    out
}

#[test]
fn idle_and_active_timeouts_end_a_flow_when_they_have_passed() {
    let (mut table, mut retirement) = (Slots::empty(8), Retirement::default());
    table.packet(1, SECOND, 100, 0);
    assert!(sweep(&mut table, &mut retirement, 16 * SECOND - 1).is_empty());
    let idle = sweep(&mut table, &mut retirement, 16 * SECOND);
    assert_eq!((idle[0].1, idle[0].0.packets, idle.len()), (EndReason::IdleTimeout, 1, 1));

    for second in 0..=60 {
        table.packet(2, (20 + second) * SECOND, 100, 0);
        let out = sweep(&mut table, &mut retirement, (20 + second) * SECOND);
        match second {
            60 => assert_eq!((out[0].1, out[0].0.packets), (EndReason::ActiveTimeout, 61)),
            _ => assert!(out.is_empty(), "second {second}"),
        }
    }
    assert!(table.0.iter().all(|slot| slot.state == FREE));
}

#[test]
fn a_look_after_a_leap_names_the_timeout_that_came_first() {
    assert_eq!(TIMEOUTS.common().due(0, 10 * SECOND), (25 * SECOND, EndReason::IdleTimeout));
    assert_eq!(TIMEOUTS.common().due(0, 50 * SECOND), (60 * SECOND, EndReason::ActiveTimeout));
    let (mut table, mut retirement) = (Slots::empty(2), Retirement::default());
    table.packet(1, 0, 100, 0);
    assert_eq!(sweep(&mut table, &mut retirement, 10_000 * SECOND)[0].1, EndReason::IdleTimeout);
}

#[test]
fn a_closed_connection_is_due_at_the_second_look() {
    let (mut table, mut retirement) = (Slots::empty(4), Retirement::default());
    table.packet(1, SECOND, 100, 0);
    table.packet(1, SECOND, 100, FIN);
    assert!(sweep(&mut table, &mut retirement, 2 * SECOND).is_empty());
    assert!(retirement.is_due(2 * SECOND + 1, false), "a flow that closes keeps the looks going");
    table.packet(1, 2 * SECOND + 1, 40, 0x10);
    let out = sweep(&mut table, &mut retirement, 3 * SECOND);
    assert_eq!((out[0].1, out[0].0.packets, out[0].0.octets), (EndReason::EndOfFlow, 3, 240));
    // The mark does not stick to the slot: its next flow lives on.
    table.packet(2, 4 * SECOND, 100, 0);
    assert!(sweep(&mut table, &mut retirement, 5 * SECOND).is_empty());
    assert!(!retirement.is_due(5 * SECOND + 1, false));
}

#[test]
fn nothing_is_looked_for_before_it_can_be_due() {
    let (mut table, mut retirement) = (Slots::empty(4), Retirement::default());
    assert!(retirement.is_due(0, false));
    table.packet(1, SECOND, 100, 0);
    sweep(&mut table, &mut retirement, 2 * SECOND);
    assert!(!retirement.is_due(16 * SECOND - 1, false));
    assert!(retirement.is_due(16 * SECOND, false));
    assert!(retirement.is_due(3 * SECOND, true), "a FIN came");
    assert_eq!(retirement.next_due(), 16 * SECOND);
    sweep(&mut table, &mut retirement, 16 * SECOND);
    assert_eq!(retirement.next_due(), u64::MAX, "an empty table has nothing to wait for");
    retirement.expect(40 * SECOND);
    assert_eq!(retirement.next_due(), 40 * SECOND);
}

proptest! {
    /// A sweep by the calendar retires the same slots as a sweep of every slot, in the same order, at the
    /// same time.
    #[test]
    fn a_calendar_changes_nothing(
        steps in proptest::collection::vec((0..400_u16, 0..40_u64, 0..20_u64, 0..12_u8, 0..30_usize), 1..200),
    ) {
        let mut whole = (Slots::empty(300), Retirement::default());
        let mut noted = (Slots::empty(300), Retirement::default());
        noted.1.with_calendar(300);
        let mut clock = 100 * SECOND;
        for (port, step, back, flags, room) in steps {
            // Packets may be older than the clock, and some seconds have no look.
            clock += if step < 20 { 0 } else { (step - 19) * SECOND };
            let time = clock - back * SECOND / 4;
            let tcp_flags = if flags == 0 { FIN } else { 0 };
            prop_assert_eq!(whole.0.packet(port, time, 100, tcp_flags), noted.0.packet(port, time, 100, tcp_flags));
            if let Some(index) = noted.0.find(port) {
                noted.1.note(index, time + TIMEOUTS.shortest(), tcp_flags != 0);
            }
            if step % 3 != 0 {
                continue;
            }
            // Room may be short, down to none, before all is seen.
            for room in room.. {
                let due = noted.1.is_due(clock, false);
                let finds = noted.1.finds(&noted.0, clock, TIMEOUTS);
                prop_assert!(due || !finds);
                let marked = [&mut whole, &mut noted]
                    .map(|(table, retirement)| retirement.mark(table, clock, TIMEOUTS, None, room));
                prop_assert_eq!(marked[0], marked[1]);
                prop_assert!(finds || marked[0] == 0, "due and not known");
                let [one, other] = [&mut whole, &mut noted].map(|(table, retirement)| collect(table, retirement));
                prop_assert_eq!(one, other);
                if marked[0] < room {
                    break;
                }
            }
            prop_assert!(noted.1.next_due() <= whole.1.next_due().max(1));
        }
        let forced = Some(EndReason::Forced);
        for (table, retirement) in [&mut whole, &mut noted] {
            retirement.mark(table, clock, TIMEOUTS, forced, usize::MAX);
        }
        prop_assert_eq!(collect(&mut whole.0, &mut whole.1), collect(&mut noted.0, &mut noted.1));
    }
}

#[test]
fn what_finds_no_room_stays_and_comes_next() {
    let (mut table, mut retirement) = (Slots::empty(10), Retirement::default());
    for port in 0..10 {
        table.packet(port, 0, 100, 0);
    }
    let mut ports = Vec::new();
    for expected in [4, 4, 2, 0] {
        assert_eq!(retirement.mark(&mut table, 20 * SECOND, TIMEOUTS, None, 4), expected);
        ports.extend(collect(&mut table, &mut retirement).iter().map(|(part, _)| part.key.destination_port));
        assert_eq!(retirement.is_due(20 * SECOND, false), ports.len() < 10, "{ports:?}");
    }
    ports.sort_unstable();
    assert!(ports.into_iter().eq(0..10));
}

#[test]
fn a_packet_between_the_steps_opens_a_new_slot() {
    let (mut table, mut retirement) = (Slots::empty(4), Retirement::default());
    table.packet(1, 0, 100, 0);
    retirement.mark(&mut table, 15 * SECOND, TIMEOUTS, None, 9);
    table.packet(1, 15 * SECOND, 60, 0);
    assert_eq!(in_table(&table), Total { packets: 2, octets: 160 });
    let (mut out, mut kept) = (Vec::new(), Vec::new());
    retirement.collect(&mut table, Then::Keep, |index, part, _| {
        out.push(part.octets);
        kept.push(index);
    });
    assert_eq!(out, [100]);
    // Until the record is safe, its slot is nobody else's, and the books show it.
    assert_eq!(in_table(&table), Total { packets: 2, octets: 160 });
    retirement.mark(&mut table, 15 * SECOND, TIMEOUTS, None, 9);
    retirement.collect(&mut table, Then::Keep, |_, part, _| panic!("twice: {part:?}"));
    kept.into_iter().for_each(|index| free(&mut table, index));
    assert_eq!(in_table(&table), Total { packets: 1, octets: 60 });
}

fn part(port: u16, packets: u64, first: u64, last: u64) -> FlowCounters {
    let mut slot = SlotV4::zeroed();
    slot.key.rest.ports = [0, 0, port.to_be_bytes()[0], port.to_be_bytes()[1]];
    FlowCounters { packets, octets: packets * 100, first, last, ttl_min: 9, ttl_max: 9, ..slot.counters() }
}

#[test]
fn parts_of_one_flow_that_retire_together_are_one_record() {
    let mut merge = Merge::default();
    merge.push(&part(1, 2, 10, 20), EndReason::IdleTimeout, None);
    merge.push(&part(2, 5, 10, 20), EndReason::IdleTimeout, None);
    merge.push(&FlowCounters { ttl_min: 3, ..part(1, 3, 5, 15) }, EndReason::ActiveTimeout, None);
    assert_eq!(merge.total(), Total { packets: 10, octets: 1000 });
    let mut records: Vec<FlowRecord> = Vec::new();
    merge.drain(|part, reason, _| {
        records.push(record(&part, reason, WallClock::default(), DeliveryId::NONE));
    });
    assert_eq!(records.iter().map(|record| record.packets()).collect::<Vec<_>>(), [5, 5]);
    assert_eq!((records[0].flow().ttl_min, records[0].flow().ttl_max), (3, 9));
    assert!(merge.is_empty());
}

/// A MAC address for `mac`, extension headers for `ipv6`.
fn cold(groups: Groups, mac: u8, extensions: u8) -> Vec<u8> {
    let mut row = vec![0; field::width(groups)];
    let at = |field| usize::from(field::offset(groups, field).expect("its group is on"));
    row[at(Cold::SourceMac)] = mac;
    row[at(Cold::ExtensionHeaders) + 3] = extensions;
    row
}

#[test]
fn cold_fields_are_of_the_part_that_began_first_and_extension_headers_of_all() {
    let groups = [Group::Mac, Group::Ipv6].into_iter().collect();
    let rows = [cold(groups, 1, 0x02), cold(groups, 2, 0x20), cold(groups, 3, 0x01)];
    let mut merge = Merge::new(groups);
    let push = |merge: &mut Merge, port, first, row: usize| {
        let flow = SlotFlow { counters: &part(port, 1, first, 20), cold: &rows[row] };
        merge.push(flow, EndReason::IdleTimeout, None);
    };
    // Two flows of three parts each; the one whose parts came in the other order, and one that stays alone.
    for (port, firsts) in [(1, [10, 5, 15]), (2, [5, 10, 15])] {
        for (row, first) in firsts.into_iter().enumerate() {
            push(&mut merge, port, first, row);
        }
    }
    push(&mut merge, 3, 1, 2);
    let mut found = Vec::new();
    merge.drain(|flow, _, _| found.push((flow.key.destination_port, flow.cold.to_vec())));
    let expected = [(1, cold(groups, 2, 0x23)), (2, cold(groups, 1, 0x23)), (3, rows[2].clone())];
    assert_eq!(found, expected);
    // Nothing of it is left for the next look.
    push(&mut merge, 4, 1, 0);
    merge.drain(|flow, _, _| assert_eq!(flow.cold, rows[0]));
}

#[test]
fn a_part_joins_what_was_taken_of_its_flow_and_nothing_else() {
    let mut merge = Merge::default();
    let ports = 0..300;
    assert!(!merge.join(&(&part(0, 1, 10, 20)).into(), EndReason::IdleTimeout, None));
    ports.clone().for_each(|port| merge.push(&part(port, 2, 10, 20), EndReason::IdleTimeout, None));
    let joined =
        |merge: &mut Merge, port| merge.join(&(&part(port, 3, 10, 20)).into(), EndReason::IdleTimeout, None);
    assert!(ports.clone().all(|port| joined(&mut merge, port)));
    assert!((300..3000).all(|port| !joined(&mut merge, port)));
    let mut packets = Vec::new();
    merge.drain(|part, _, _| packets.push(part.packets));
    assert_eq!(packets, [5; 300]);
    assert!(ports.clone().all(|port| !joined(&mut merge, port)), "those have left");
}

#[test]
fn one_offset_converts_both_ends() {
    let clock = WallClock::new(5 * SECOND, 1_000_000 * SECOND);
    assert_eq!(clock.wall_ms(5 * SECOND), 1_000_000_000);
    assert_eq!(clock.wall_ms(6 * SECOND + 1_999_999), 1_000_001_001);
    // A clock that stands before 1970 in its first seconds gives no wrapped time.
    assert_eq!(WallClock::new(10 * SECOND, SECOND).wall_ms(0), 0);
    let record = record(&part(1, 1, 7, 7), EndReason::Forced, clock, DeliveryId::NONE);
    assert!(record.start_ms() <= record.end_ms());
}

#[test]
fn the_books_fail_visibly_when_a_term_is_missing() {
    let total = |packets| Total { packets, octets: packets * 100 };
    let collector = |exported, queued| Collector {
        exported: RecordTotal { records: 1, packets: exported, octets: exported * 100 },
        queued: RecordTotal { records: 1, packets: queued, octets: queued * 100 },
        ..Collector::default()
    };
    let mut books = Books { in_table: total(5), ..Books::default() };
    books.collectors.insert("fast".into(), collector(10, 0));
    books.collectors.insert("slow".into(), collector(3, 7));
    let open = books.clone();
    books.close(Bracket { before: total(14), after: total(17) });
    assert_eq!((books.exported, books.queued, books.seen), (total(3), total(7), total(15)));
    assert!(books.balance());
    let mut books = open;
    books.close(Bracket { before: total(16), after: total(17) });
    assert_eq!(books.seen, total(16));
    assert!(!books.balance());
}

/// Flows of a table with several partitions, each with the slots that it has there: partition, and steps
/// behind its home.
fn met_on_several_cpus() -> impl Strategy<Value = Vec<(usize, Vec<(usize, usize)>)>> {
    let slots = prop::collection::vec((0..PARTITIONS, 0..WINDOW as usize), 1..4);
    prop::collection::vec((0..PARTITION - WINDOW as usize, slots), 0..2000)
}

const PARTITIONS: usize = 3;
const PARTITION: usize = 5000;

proptest! {
    /// Slots of one flow are one record, wherever they are in their windows and wherever the look began.
    #[test]
    fn a_flow_met_on_several_cpus_is_one_record(flows in met_on_several_cpus(), early in 0_usize..500) {
        let (mut table, mut expected) = (Slots::empty(PARTITIONS * PARTITION), BTreeMap::new());
        for (port, (home, slots)) in flows.into_iter().enumerate() {
            for (partition, step) in slots {
                let slot = &mut table.0[partition * PARTITION + home + step];
                if slot.state == FREE {
                    let FlowCounters { packets, octets, .. } = part(0, 1, 0, 0);
                    *slot = SlotV4 { packets, octets, state: LIVE, ..SlotV4::zeroed() };
                    slot.key.rest.ports[2..].copy_from_slice(&u16::try_from(port).unwrap().to_be_bytes());
                    *expected.entry(port).or_insert(0) += 1;
                }
            }
        }
        let (mut retirement, mut merge) = (Retirement::default(), Merge::default());
        // The first look ends early, so that the second one begins in the middle.
        let mut found = BTreeMap::new();
        let mut early = retirement.mark(&mut table, 0, TIMEOUTS, Some(EndReason::Forced), early);
        let mut records = 0;
        for _ in 0..2 {
            let mut take = |part: SlotFlow<'_>, _: EndReason, slots: &[SlotRef]| {
                records += 1;
                assert_eq!(part.packets, slots.len() as u64);
                *found.entry(usize::from(part.key.destination_port)).or_insert(0) += part.packets;
            };
            let place = Place::v4(1);
            retirement.collect_in_turns(&mut table, PARTITION, Then::Free, |turn, index, part, reason| {
                merge.push_across_cpus(turn, &part, reason, Some(SlotRef::new(place, index)), &mut take);
            });
            merge.drain(&mut take);
            if early > 0 {
                // Records taken early may be parts of flows.
                records = 0;
                early = 0;
                expected.retain(|port, packets| {
                    *packets -= found.remove(port).unwrap_or(0);
                    *packets > 0
                });
            }
            retirement.mark(&mut table, 0, TIMEOUTS, Some(EndReason::Forced), usize::MAX);
        }
        prop_assert_eq!(records, expected.len());
        prop_assert_eq!(found, expected);
    }

    /// For any packets and sweeps: every packet is in a record or in the table, once.
    #[test]
    fn no_packet_is_lost_or_doubled(
        steps in prop::collection::vec((0_u16..12, 0_u64..20, 40_u64..1500, any::<bool>(), 0_usize..6), 1..200)
    ) {
        let (mut table, mut retirement, mut now) = (Slots::empty(12), Retirement::default(), 0);
        let (mut sent, mut retired) = (Total::default(), Total::default());
        for (port, seconds, octets, fin, room) in steps {
            now += seconds * SECOND;
            sent += Total { packets: 1, octets };
            let placed = table.packet(port, now, octets, if fin { FIN } else { 0 });
            prop_assert!(placed);
            retirement.mark(&mut table, now, TIMEOUTS, None, room);
            for (part, _) in collect(&mut table, &mut retirement) {
                retired += Total { packets: part.packets, octets: part.octets };
            }
            let mut sum = retired;
            sum += in_table(&table);
            prop_assert_eq!(sum, sent);
        }
        // At the end every flow leaves, even one that a sweep without room has passed.
        retirement.mark(&mut table, now, TIMEOUTS, Some(EndReason::Forced), usize::MAX);
        collect(&mut table, &mut retirement);
        prop_assert_eq!(in_table(&table), Total::default());
    }

    /// However long a look takes that runs out of room: when none is needed any more, nothing is due.
    #[test]
    fn nothing_that_is_due_is_passed_over(
        steps in prop::collection::vec((0_u16..12, 0_u64..9, 1_usize..4), 1..300), told in any::<bool>()
    ) {
        let (mut table, mut retirement, mut now) = (Slots::empty(12), Retirement::default(), 0);
        for (port, seconds, room) in steps {
            now += seconds * SECOND;
            prop_assert!(table.packet(port, now, 100, 0));
            if told {
                retirement.expect(TIMEOUTS.common().due(now, now).0);
            }
            if retirement.is_due(now, false) {
                retirement.mark(&mut table, now, TIMEOUTS, None, room);
                collect(&mut table, &mut retirement);
            }
            let live = || table.0.iter().filter(|slot| slot.state == LIVE).map(|slot| slot.counters());
            let next = live().map(|part| TIMEOUTS.common().due(part.first, part.last).0).min().unwrap_or(u64::MAX);
            prop_assert!(next > now || retirement.is_due(now, false), "{next} at {now}");
            prop_assert!(!told || retirement.next_due() <= next.max(now), "{next} at {now}");
        }
    }
}
