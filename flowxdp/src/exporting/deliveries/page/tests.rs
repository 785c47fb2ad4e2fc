//! Pages in memory of the test's own, and agents that end between any two steps.

use flowxdp_common::{
    journal::Sum,
    slot::{FREE, LIVE, retired},
};
use flowxdp_core::{metering::deliveries::Place, metering::retire::Table};

use super::*;
use crate::exporting::deliveries::{kill, memory::Memory};

fn exported(packets: u64) -> Terms {
    Terms { exported: Sum { records: 1, packets, octets: 100 * packets }, ..Terms::default() }
}

#[test]
fn each_collector_has_its_page_again() {
    let memory = Memory::new();
    let mut ledger = memory.ledger();
    assert_eq!(ledger.page("udp://one").unwrap(), 0);
    assert_eq!(ledger.page("udp://two").unwrap(), 1);
    let mut next = memory.ledger();
    assert_eq!(next.page("udp://two").unwrap(), 1);
    next.deliver(1, &[], &[], &exported(7));
    next.forget_all_but(&[0]);
    assert_eq!(next.page("udp://three").unwrap(), 1);
    assert_eq!(next.recover(1).terms, Terms::default());
    for number in 0..COLLECTORS - 2 {
        next.page(&format!("udp://{number}")).unwrap();
    }
    assert!(next.page("udp://one too many").is_err());
}

#[test]
fn what_was_being_handed_over_is_named_and_stays() {
    let memory = Memory::new();
    let mut ledger = memory.ledger();
    let delivery = memory.retire(&mut ledger, 5, 1);
    ledger.deliver(0, &[], &[], &exported(1));
    ledger.sending(0, std::iter::once(delivery), &exported(4));
    // Killed here.
    let mut next = memory.ledger();
    let left = next.recover(0);
    assert_eq!((left.terms, left.perhaps), (exported(1), Some(exported(4))));
    assert_eq!(left.slots, [SlotRef::new(Place::v4(1), 5)]);
    assert_eq!(next.total(0, &left.slots), RecordTotal { records: 1, packets: 3, octets: 300 });
    assert_eq!(memory.state(5), retired(0));
}

#[test]
fn what_was_handed_over_is_finished_by_the_next_agent() {
    let memory = Memory::new();
    let mut ledger = memory.ledger();
    memory.retire(&mut ledger, 2, 1);
    memory.retire(&mut ledger, 3, 1);
    ledger.deliver(0, &[], &[], &exported(1));
    // As in `deliver`, but killed before any slot was let go of, and after one was and a packet opened it anew.
    let mut pages = memory.pages();
    let mut page = pages.read(0);
    page.slots[0] = SlotRef::new(Place::v4(1), 2).word();
    page.slots[1] = SlotRef::new(Place::v4(1), 3).word();
    let copy = 1 - unfold(page.word).1;
    page.terms[usize::try_from(copy).unwrap()] = exported(7);
    page.word = word(RELEASING, copy, 2);
    pages.write(0, &page);
    memory.table().set_state(3, LIVE);
    let mut next = memory.ledger();
    let left = next.recover(0);
    assert_eq!((left.terms, left.perhaps, left.slots.len()), (exported(7), None, 0));
    assert_eq!((memory.state(2), memory.state(3)), (retired(1), LIVE));
    // And nothing is done twice.
    assert_eq!(next.recover(0).terms, exported(7));
    assert_eq!(memory.state(2), retired(1));
}

#[test]
fn a_slot_is_free_when_both_collectors_have_it() {
    let memory = Memory::new();
    let mut ledger = memory.ledger();
    let delivery = memory.retire(&mut ledger, 4, 0b11);
    ledger.deliver(1, &[delivery], &[], &exported(3));
    assert_eq!(memory.state(4), retired(0b10));
    ledger.deliver(0, &[delivery], &[], &exported(3));
    assert_eq!(memory.state(4), FREE);
    assert_eq!((ledger.recover(0).terms, ledger.recover(1).terms), (exported(3), exported(3)));
    assert_eq!(ledger.waiting(), 0);
}

#[test]
fn what_may_be_refused_stays_in_its_slot() {
    let memory = Memory::new();
    let mut ledger = memory.ledger();
    let delivery = memory.retire(&mut ledger, 4, 1);
    ledger.deliver(0, &[], &[delivery], &exported(3));
    assert_eq!(memory.state(4), retired(1));
    // Killed here, it counts as handed over.
    assert_eq!(memory.ledger().recover(0).terms, exported(3));
    ledger.revoke(0, &[delivery], &exported(0));
    assert_eq!((ledger.recover(0).terms, memory.state(4)), (exported(0), retired(0)));
    ledger.deliver(0, &[], &[delivery], &exported(3));
    ledger.confirm(0, &[delivery]);
    assert_eq!((ledger.recover(0).terms, memory.state(4), ledger.waiting()), (exported(3), FREE, 0));
}

#[test]
fn what_was_refused_is_taken_back_by_the_next_agent() {
    let memory = Memory::new();
    let mut ledger = memory.ledger();
    let delivery = memory.retire(&mut ledger, 4, 1);
    ledger.deliver(0, &[], &[delivery], &exported(3));
    // As in `revoke`, but killed before the slot was touched.
    let mut pages = memory.pages();
    let mut page = pages.read(0);
    let copy = 1 - unfold(page.word).1;
    page.slots[0] = SlotRef::new(Place::v4(1), 4).word();
    page.terms[usize::try_from(copy).unwrap()] = exported(0);
    page.word = word(TAKING_BACK, copy, 1);
    pages.write(0, &page);
    let mut next = memory.ledger();
    assert_eq!((next.recover(0).terms, memory.state(4)), (exported(0), retired(0)));
    assert_eq!(next.recover(0).terms, exported(0));
}

#[test]
fn more_slots_than_a_step_lists_are_let_go_of_all_the_same() {
    let memory = Memory::new();
    let mut ledger = memory.ledger();
    let slots = vec![SlotRef::new(Place::v4(1), 6); REFS + 10];
    memory.retire(&mut ledger, 6, 1);
    let delivery = ledger.keep(&slots, 0);
    ledger.expect(delivery, 1);
    ledger.sending(0, std::iter::once(delivery), &exported(3));
    ledger.deliver(0, &[delivery], &[], &exported(3));
    assert_eq!(memory.state(6), FREE);
}

/// Two records, of which the first is released and the second may be refused yet.
fn handed(memory: &Memory, ledger: &mut Ledger) -> [DeliveryId; 2] {
    let deliveries = [2, 3].map(|index| memory.retire(ledger, index, 0b11));
    ledger.deliver(0, &[], &[], &exported(1));
    deliveries
}

/// The terms and the slots of its records are one: both from before the step, or both from after it.
#[test]
fn a_step_is_done_or_not_done_wherever_the_agent_is_killed() {
    let mut ends = Vec::new();
    for stores in 0.. {
        let memory = Memory::new();
        let mut ledger = memory.ledger();
        let [released, unconfirmed] = handed(&memory, &mut ledger);
        let ended = kill::after(stores, || ledger.deliver(0, &[released], &[unconfirmed], &exported(7)));
        drop(ledger);
        let left = memory.ledger().recover(0);
        let states = (memory.state(2), memory.state(3));
        let (before, after) = ((retired(0), retired(0)), (retired(1), retired(1)));
        assert!(left.perhaps.is_none() && left.slots.is_empty());
        assert!(
            (left.terms == exported(1) && states == before) || (left.terms == exported(7) && states == after),
            "killed after {stores} stores: {states:x?}, {:?}",
            left.terms.exported
        );
        ends.push(left.terms == exported(7));
        if ended {
            break;
        }
    }
    assert!(ends.is_sorted() && ends.first() == Some(&false) && ends.last() == Some(&true), "{ends:?}");
}

#[test]
fn a_refusal_is_taken_back_or_not_wherever_the_agent_is_killed() {
    let mut ends = Vec::new();
    for stores in 0.. {
        let memory = Memory::new();
        let mut ledger = memory.ledger();
        let [_, unconfirmed] = handed(&memory, &mut ledger);
        ledger.deliver(0, &[], &[unconfirmed], &exported(4));
        let ended = kill::after(stores, || ledger.revoke(0, &[unconfirmed], &exported(1)));
        drop(ledger);
        let left = memory.ledger().recover(0);
        let state = memory.state(3);
        assert!(
            (left.terms == exported(4) && state == retired(1))
                || (left.terms == exported(1) && state == retired(0)),
            "killed after {stores} stores: {state:x}, {:?}",
            left.terms.exported
        );
        ends.push(left.terms == exported(1));
        if ended {
            break;
        }
    }
    assert!(ends.is_sorted() && ends.first() == Some(&false) && ends.last() == Some(&true), "{ends:?}");
}

/// Records that a killed agent may have sent are named, but none before the journal has them.
#[test]
fn a_message_is_named_from_the_moment_on_at_which_it_may_leave() {
    let mut ends = Vec::new();
    for stores in 0.. {
        let memory = Memory::new();
        let mut ledger = memory.ledger();
        let deliveries = handed(&memory, &mut ledger);
        let ended = kill::after(stores, || ledger.sending(0, deliveries.into_iter(), &exported(7)));
        drop(ledger);
        let mut next = memory.ledger();
        let left = next.recover(0);
        assert_eq!((left.terms, memory.state(2), memory.state(3)), (exported(1), retired(0), retired(0)));
        let named = next.total(0, &left.slots);
        if left.perhaps.is_some() {
            assert_eq!((left.perhaps, named.records, named.packets), (Some(exported(7)), 2, 6));
        } else {
            assert_eq!(named, RecordTotal::default());
        }
        ends.push(left.perhaps.is_some());
        if ended {
            break;
        }
    }
    assert!(ends.is_sorted() && ends.first() == Some(&false) && ends.last() == Some(&true), "{ends:?}");
}
