//! The slot protocol, explored: XDP programs on two CPUs, an agent, kills and recoveries, in all orders.
//!
//! # The protocol
//! A slot goes `FREE` → `LIVE` (program) → `RETIRED` (agent) → `FREE` (agent).
//! - A program searches the whole window of slots for its flow, then opens the first free one: key and
//!   counters first, the state last, by an exchange. Only one CPU writes the slots of a partition.
//! - The agent retires slots, waits until every program that may have seen them live has ended (the grace
//!   period), and reads them. They stay retired until every collector was given the record; those that
//!   have it are noted in the state.
//! - A message that may yet be refused keeps its slots, noted as delivered; a refusal revokes the note, in
//!   one step with the books.
//! - Each message is delivered under a redo log, [`journal`]: the successor of a killed agent knows which
//!   records were counted, and which may have been sent. The next agent waits for a grace period, finishes or
//!   names these, and exports retired slots to the collectors that do not have them.
//! - A CPU takes a partition at its first packet, if one is left. To hand one to a CPU that came too late,
//!   the agent takes the claim of its owner away, waits for a grace period, and lets the other CPU claim it,
//!   which adds to the live slots that it finds.
//! - A packet whose window is full, or whose CPU has no partition, goes through the ring buffer into the
//!   spill table, [`ring`]: a slot's values before an event are noted, so that an unfinished change is
//!   undone.
//!
//! # Properties
//! [`judge`]: at the end every packet is exported once for each collector, and received at least once;
//! duplicates are named: sent ≤ received ≤ sent + named. No flow ever has two live slots in one table. At
//! each snapshot, `seen = exported + in table` for each collector, between two readings of `seen`. Packets
//! and octets both, and the octets tell packets apart, so one lost never hides one doubled.
//!
//! # Extent
//! [`explore`] visits every state that any order of steps leads to, for the few packets, slots and kills of a
//! [`scenario`]. A step is one access to shared memory, so a program stands between any two of its stores
//! while the agent sweeps; the agent is killed before any of its steps. With `weak`, plain stores of a CPU
//! are seen late and in any order, as processors with weaker order than x86 do; an exchange and the end of a
//! program that a grace period waits for make all earlier ones seen.
//!
//! `retire`, `spill`, `partitions` and `deliveries` run here as in the agent, each access a step: [`table`],
//! [`claims`]. The program's part is a copy of `flowxdp-ebpf/src/table.rs`, which compiles for BPF alone:
//! [`xdp`]. Its decisions, [`window`], run beside the program in `kernel_slots`. The journal's part is a copy
//! too, in the order of the agent's stores; the agent's own steps end before each store in
//! `deliveries/page/tests.rs`.
//!
//! Left out are: two programs at once on one CPU (the agent refuses such kernels or meters atomically),
//! stores of the agent seen late (it releases each state, and a kill finds all earlier stores), reads that
//! overtake others, the fields of a slot that only describe a flow, and timeouts: a sweep takes every live
//! slot, or any part of them.
//!
//! Every rule has a test that takes it out and sees the exploration fail.

mod agent;
mod cell;
mod claims;
mod explore;
mod journal;
mod judge;
mod memory;
mod process;
mod ring;
mod scenario;
mod table;
mod window;
mod xdp;

use explore::explore;
use scenario::{Broken, Packet, Scenario};

/// Flows that share a window.
const A: Packet = Packet { flow: 1, home: 0 };
const B: Packet = Packet { flow: 2, home: 0 };
/// A flow whose window is one slot further on.
const C: Packet = Packet { flow: 3, home: 1 };

/// Windows of two slots, one sweep while packets come, one after; no kill.
fn quiet(packets: [&[Packet]; 2]) -> Scenario {
    Scenario {
        window: 2,
        homes: 1,
        spill_slots: 2,
        hand_over: false,
        packets: packets.map(<[Packet]>::to_vec),
        sweeps: 1,
        undecided: false,
        books: false,
        collectors: 1,
        partial: false,
        refusals: 0,
        kills: 0,
        weak: false,
        broken: None,
    }
}

/// Nothing is lost and nothing doubled.
#[track_caller]
#[expect(clippy::disallowed_macros, reason = "a test's output, which the harness captures")]
fn holds(scenario: &Scenario) {
    let explored = explore(scenario);
    println!("{} states", explored.states);
    let counterexample = explored.counterexample.unwrap_or_default();
    assert!(counterexample.is_empty(), "{counterexample}");
}

/// The scenario holds, and fails without the rule, with this fault.
#[track_caller]
#[expect(clippy::disallowed_macros, reason = "a test's output, which the harness captures")]
fn needs(scenario: &Scenario, broken: Broken, what: &str) {
    let explored = explore(&Scenario { broken: Some(broken), ..scenario.clone() });
    let counterexample = explored.counterexample.unwrap_or_default();
    println!("{} states", explored.states);
    let fault = counterexample.lines().last().unwrap_or("nothing was found");
    assert!(fault.contains(what), "{broken:?}: {fault}");
}

#[test]
fn two_cpus_and_three_looks() {
    holds(&Scenario { sweeps: 2, ..quiet([&[A, B, B], &[A]]) });
}

#[test]
fn windows_that_overlap_and_slots_that_are_not_due() {
    holds(&Scenario { homes: 2, sweeps: 2, undecided: true, ..quiet([&[A, C, B, A], &[]]) });
}

#[test]
fn retired_slots_need_a_grace_period() {
    needs(&quiet([&[A, A, A], &[]]), Broken::NoGrace, "exported");
    needs(&quiet([&[A, A], &[A]]), Broken::NoGrace, "exported");
}

/// One partition for both CPUs.
fn shared(packets: [&[Packet]; 2]) -> Scenario {
    Scenario { hand_over: true, ..quiet(packets) }
}

#[test]
fn a_partition_changes_hands() {
    let scenario = shared([&[A, A], &[A]]);
    holds(&scenario);
    holds(&Scenario { sweeps: 2, undecided: true, ..scenario.clone() });
    holds(&Scenario { books: true, ..scenario.clone() });
    holds(&shared([&[A, B], &[B, A]]));
    holds(&Scenario { weak: true, ..shared([&[A], &[A, A]]) });
    needs(&scenario, Broken::NoGraceBeforeGift, "exported");
}

#[test]
fn a_kill_while_a_partition_changes_hands() {
    holds(&Scenario { kills: 1, ..shared([&[A, A], &[A]]) });
    holds(&Scenario { kills: 2, sweeps: 0, ..shared([&[A], &[B, A]]) });
}

#[test]
fn a_flow_is_looked_for_in_the_whole_window() {
    let scenario = quiet([&[A, B, B], &[]]);
    holds(&scenario);
    needs(&scenario, Broken::FirstFreeSlot, "are both of flow 2");
}

#[test]
fn a_packet_more_leaves_the_state_alone() {
    let scenario = quiet([&[A, A, A], &[]]);
    holds(&scenario);
    needs(&scenario, Broken::HitWritesState, "exported");
}

#[test]
fn books_of_two_cpus() {
    let scenario = Scenario { books: true, ..quiet([&[A, A], &[A]]) };
    holds(&scenario);
    needs(&scenario, Broken::NoGraceInBooks, "the books say");
}

#[test]
fn the_state_is_written_last() {
    let scenario = Scenario { books: true, ..quiet([&[A, B], &[]]) };
    holds(&scenario);
    needs(&scenario, Broken::StateFirst, "the books say");
}

#[test]
fn stores_that_are_seen_late() {
    holds(&Scenario { weak: true, spill_slots: 0, ..quiet([&[A, A], &[A]]) });
    holds(&Scenario { weak: true, spill_slots: 0, kills: 1, collectors: 2, ..quiet([&[A, A], &[]]) });
    let scenario = Scenario { weak: true, spill_slots: 0, books: true, ..quiet([&[A, A], &[]]) };
    holds(&scenario);
    needs(&scenario, Broken::NoGrace, "the books say");
    needs(&scenario, Broken::PlainState, "the books say");
}

#[test]
fn two_kills_and_two_collectors() {
    holds(&Scenario { kills: 2, collectors: 2, spill_slots: 0, ..quiet([&[A, B], &[]]) });
    holds(&Scenario { kills: 1, collectors: 2, partial: true, ..quiet([&[A, B, A], &[]]) });
}

#[test]
fn a_kill_while_two_cpus_meter() {
    holds(&Scenario { kills: 1, ..quiet([&[A, A], &[A, B]]) });
}

#[test]
fn books_after_an_adoption() {
    let scenario = Scenario { kills: 1, collectors: 2, books: true, ..quiet([&[A, B, A], &[]]) };
    holds(&scenario);
    needs(&scenario, Broken::FreeFirst, "the books say");
}

/// The scenario that the tests below take rules out of.
fn killed() -> Scenario {
    Scenario { kills: 1, collectors: 2, ..quiet([&[A, A, A], &[]]) }
}

#[test]
fn a_kill_and_two_collectors() {
    holds(&killed());
}

#[test]
fn the_journal_comes_before_the_message() {
    needs(&killed(), Broken::SendFirst, "received");
    needs(&killed(), Broken::NameNothing, "received");
}

#[test]
fn sums_change_when_the_word_does() {
    needs(&killed(), Broken::OneCopy, "exported");
}

#[test]
fn slots_are_let_go_of_when_the_journal_says_so() {
    needs(&killed(), Broken::FreeFirst, "exported");
}

#[test]
fn the_next_agent_lets_go_of_retired_slots_alone_and_before_it_retires_any() {
    needs(&killed(), Broken::ReleaseAnything, "exported");
    needs(&killed(), Broken::RetireFirst, "exported");
}

#[test]
fn what_is_refused_is_still_in_its_slots() {
    let scenario = Scenario { refusals: 1, ..killed() };
    holds(&scenario);
    holds(&Scenario { refusals: 2, books: true, partial: true, ..quiet([&[A, B], &[]]) });
    needs(&scenario, Broken::FreeUnsure, "exported");
    needs(&scenario, Broken::ForgetRefusal, "exported");
}

#[test]
fn the_next_agent_waits_for_a_grace_period() {
    needs(&killed(), Broken::NoGraceAtAdoption, "exported");
}

#[test]
fn the_next_agent_knows_who_has_what() {
    needs(&killed(), Broken::ForgetWhoHas, "exported");
}

#[test]
fn the_spill_table_survives_kills() {
    holds(&Scenario { window: 1, kills: 1, books: true, ..quiet([&[A, B, B], &[]]) });
    let scenario = Scenario { window: 0, kills: 2, ..quiet([&[A, B, A], &[]]) };
    holds(&scenario);
    for broken in [Broken::IntentLater, Broken::AlwaysArmed, Broken::ConsumeFirst, Broken::UndoNothing] {
        needs(&scenario, broken, "exported");
    }
}
