//! Pages in memory of the test's own, and agents that end between any two steps.

use flowxdp_common::{
    journal::Sum,
    slot::{FREE, LIVE, retired},
};
use flowxdp_core::{hold::Place, retire::Table};

use super::*;
use crate::keeper::{kill, memory::Memory};

fn exported(packets: u64) -> Account {
    Account { exported: Sum { records: 1, packets, octets: 100 * packets }, ..Account::default() }
}

#[test]
fn each_collector_has_its_page_again() {
    let memory = Memory::new();
    let mut keeper = memory.keeper();
    assert_eq!(keeper.page("udp://one").unwrap(), 0);
    assert_eq!(keeper.page("udp://two").unwrap(), 1);
    let mut next = memory.keeper();
    assert_eq!(next.page("udp://two").unwrap(), 1);
    next.settle(1, &[], &[], &exported(7));
    next.forget_all_but(&[0]);
    assert_eq!(next.page("udp://three").unwrap(), 1);
    assert_eq!(next.adopt(1).account, Account::default());
    for number in 0..COLLECTORS - 2 {
        next.page(&format!("udp://{number}")).unwrap();
    }
    assert!(next.page("udp://one too many").is_err());
}

#[test]
fn what_was_being_handed_over_is_named_and_stays() {
    let memory = Memory::new();
    let mut keeper = memory.keeper();
    let ticket = memory.retire(&mut keeper, 5, 1);
    keeper.settle(0, &[], &[], &exported(1));
    keeper.sending(0, std::iter::once(ticket), &exported(4));
    // Killed here.
    let mut next = memory.keeper();
    let left = next.adopt(0);
    assert_eq!((left.account, left.perhaps), (exported(1), Some(exported(4))));
    assert_eq!(left.slots, [SlotRef::new(Place::v4(1), 5)]);
    assert_eq!(next.total(0, &left.slots), RecordTotal { records: 1, packets: 3, octets: 300 });
    assert_eq!(memory.state(5), retired(0));
}

#[test]
fn what_was_handed_over_is_finished_by_the_next_agent() {
    let memory = Memory::new();
    let mut keeper = memory.keeper();
    memory.retire(&mut keeper, 2, 1);
    memory.retire(&mut keeper, 3, 1);
    keeper.settle(0, &[], &[], &exported(1));
    // As in `settle`, but killed before any slot was let go of, and after one was and a packet opened it anew.
    let mut pages = memory.pages();
    let mut page = pages.read(0);
    page.slots[0] = SlotRef::new(Place::v4(1), 2).word();
    page.slots[1] = SlotRef::new(Place::v4(1), 3).word();
    let copy = 1 - unfold(page.word).1;
    page.accounts[usize::try_from(copy).unwrap()] = exported(7);
    page.word = word(RELEASING, copy, 2);
    pages.write(0, &page);
    memory.table().set_state(3, LIVE);
    let mut next = memory.keeper();
    let left = next.adopt(0);
    assert_eq!((left.account, left.perhaps, left.slots.len()), (exported(7), None, 0));
    assert_eq!((memory.state(2), memory.state(3)), (retired(1), LIVE));
    // And nothing is done twice.
    assert_eq!(next.adopt(0).account, exported(7));
    assert_eq!(memory.state(2), retired(1));
}

#[test]
fn a_slot_is_free_when_both_collectors_have_it() {
    let memory = Memory::new();
    let mut keeper = memory.keeper();
    let ticket = memory.retire(&mut keeper, 4, 0b11);
    keeper.settle(1, &[ticket], &[], &exported(3));
    assert_eq!(memory.state(4), retired(0b10));
    keeper.settle(0, &[ticket], &[], &exported(3));
    assert_eq!(memory.state(4), FREE);
    assert_eq!((keeper.adopt(0).account, keeper.adopt(1).account), (exported(3), exported(3)));
    assert_eq!(keeper.waiting(), 0);
}

#[test]
fn what_may_be_refused_stays_in_its_slot() {
    let memory = Memory::new();
    let mut keeper = memory.keeper();
    let ticket = memory.retire(&mut keeper, 4, 1);
    keeper.settle(0, &[], &[ticket], &exported(3));
    assert_eq!(memory.state(4), retired(1));
    // Killed here, it counts as handed over.
    assert_eq!(memory.keeper().adopt(0).account, exported(3));
    keeper.take_back(0, &[ticket], &exported(0));
    assert_eq!((keeper.adopt(0).account, memory.state(4)), (exported(0), retired(0)));
    keeper.settle(0, &[], &[ticket], &exported(3));
    keeper.sure(0, &[ticket]);
    assert_eq!((keeper.adopt(0).account, memory.state(4), keeper.waiting()), (exported(3), FREE, 0));
}

#[test]
fn what_was_refused_is_taken_back_by_the_next_agent() {
    let memory = Memory::new();
    let mut keeper = memory.keeper();
    let ticket = memory.retire(&mut keeper, 4, 1);
    keeper.settle(0, &[], &[ticket], &exported(3));
    // As in `take_back`, but killed before the slot was touched.
    let mut pages = memory.pages();
    let mut page = pages.read(0);
    let copy = 1 - unfold(page.word).1;
    page.slots[0] = SlotRef::new(Place::v4(1), 4).word();
    page.accounts[usize::try_from(copy).unwrap()] = exported(0);
    page.word = word(TAKING_BACK, copy, 1);
    pages.write(0, &page);
    let mut next = memory.keeper();
    assert_eq!((next.adopt(0).account, memory.state(4)), (exported(0), retired(0)));
    assert_eq!(next.adopt(0).account, exported(0));
}

#[test]
fn more_slots_than_a_step_lists_are_let_go_of_all_the_same() {
    let memory = Memory::new();
    let mut keeper = memory.keeper();
    let slots = vec![SlotRef::new(Place::v4(1), 6); REFS + 10];
    memory.retire(&mut keeper, 6, 1);
    let ticket = keeper.keep(&slots, 0);
    keeper.expect(ticket, 1);
    keeper.sending(0, std::iter::once(ticket), &exported(3));
    keeper.settle(0, &[ticket], &[], &exported(3));
    assert_eq!(memory.state(6), FREE);
}

/// Two records, of which the first is settled and the second may be refused yet.
fn handed(memory: &Memory, keeper: &mut Keeper) -> [Ticket; 2] {
    let tickets = [2, 3].map(|index| memory.retire(keeper, index, 0b11));
    keeper.settle(0, &[], &[], &exported(1));
    tickets
}

/// The account and the slots of its records are one: both from before the step, or both from after it.
#[test]
fn a_step_is_done_or_not_done_wherever_the_agent_is_killed() {
    let mut ends = Vec::new();
    for stores in 0.. {
        let memory = Memory::new();
        let mut keeper = memory.keeper();
        let [settled, unsure] = handed(&memory, &mut keeper);
        let ended = kill::after(stores, || keeper.settle(0, &[settled], &[unsure], &exported(7)));
        drop(keeper);
        let left = memory.keeper().adopt(0);
        let states = (memory.state(2), memory.state(3));
        let (before, after) = ((retired(0), retired(0)), (retired(1), retired(1)));
        assert!(left.perhaps.is_none() && left.slots.is_empty());
        assert!(
            (left.account == exported(1) && states == before)
                || (left.account == exported(7) && states == after),
            "killed after {stores} stores: {states:x?}, {:?}",
            left.account.exported
        );
        ends.push(left.account == exported(7));
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
        let mut keeper = memory.keeper();
        let [_, unsure] = handed(&memory, &mut keeper);
        keeper.settle(0, &[], &[unsure], &exported(4));
        let ended = kill::after(stores, || keeper.take_back(0, &[unsure], &exported(1)));
        drop(keeper);
        let left = memory.keeper().adopt(0);
        let state = memory.state(3);
        assert!(
            (left.account == exported(4) && state == retired(1))
                || (left.account == exported(1) && state == retired(0)),
            "killed after {stores} stores: {state:x}, {:?}",
            left.account.exported
        );
        ends.push(left.account == exported(1));
        if ended {
            break;
        }
    }
    assert!(ends.is_sorted() && ends.first() == Some(&false) && ends.last() == Some(&true), "{ends:?}");
}

/// Whatever an agent that is killed may have sent is named, and nothing before the journal says so.
#[test]
fn a_message_is_named_from_the_moment_on_at_which_it_may_leave() {
    let mut ends = Vec::new();
    for stores in 0.. {
        let memory = Memory::new();
        let mut keeper = memory.keeper();
        let tickets = handed(&memory, &mut keeper);
        let ended = kill::after(stores, || keeper.sending(0, tickets.into_iter(), &exported(7)));
        drop(keeper);
        let mut next = memory.keeper();
        let left = next.adopt(0);
        assert_eq!((left.account, memory.state(2), memory.state(3)), (exported(1), retired(0), retired(0)));
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
