//! Which CPU has which partition of the flow table, and the three steps in which one changes hands.
//!
//! A CPU takes a partition at its first packet. A CPU that begins to receive when all are taken has none:
//! its packets go through the ring buffer, until the agent hands it the partition of an idle CPU.
//!
//! 1. The claim of the idle CPU is withdrawn: its next packet finds none.
//! 2. The agent waits for one grace period: no program that read the claim is running any more.
//! 3. CPUs without a partition are given those that no CPU claims.
//!
//! The slots stay as they are. From step 2 on no CPU writes them, and from step 3 on the new owner alone: the
//! new owner adds to the live flows that it finds, so that a flow which moves with its queue stays one record
//! and a full queue of records delays nothing. A CPU without a partition reads the clock for each packet, so
//! its first packet in the partition is not earlier than the gift, and no end precedes its start.
//!
//! An agent that is killed between the steps leaves a partition without an owner, which the next agent finds.

use std::cmp::Reverse;

use flowxdp_common::counter::NO_PARTITION;

use crate::clock::{MILLISECOND, SECOND};

/// A CPU gives its partition up to one that received a packet so much later than it did, nanoseconds. Longer
/// than a jiffy, and so short that the ring buffer holds the packets meanwhile: 230,000.
const IDLE: u64 = 50 * MILLISECOND;

/// A CPU whose last packet is older than this does not wait for a partition any more, nanoseconds.
const RECENT: u64 = SECOND;

/// CPUs that take turns at a partition hand it over so many times in a row …
const BURST: u64 = 8;
/// … and then once in so many nanoseconds, …
const PERIOD: u64 = 60 * SECOND;
/// … or when its owner has been idle for so long.
const AWAY: u64 = 5 * SECOND;

/// Without an idle CPU, packets are compared over so many nanoseconds.
const COMPARED: u64 = 5 * SECOND;
/// A busy CPU gives its partition up to one with so many times its packets.
const BUSIER: u64 = 4;

/// The claims of the CPUs, shared with the XDP program.
pub trait Claims {
    /// CPUs that there can be.
    fn cpus(&self) -> usize;
    /// [`flowxdp_common::counter::CpuState::partition`] of a CPU.
    fn claim(&self, cpu: usize) -> u32;
    /// Sets it, where it is not 0.
    fn set_claim(&mut self, cpu: usize, claim: u32);
    /// Time of the CPU's last metered packet, nanoseconds; early by less than a jiffy.
    fn last(&self, cpu: usize) -> u64;
    /// Packets that reached the program on the CPU.
    fn packets(&self, cpu: usize) -> u64;
}

/// A partition that changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its number, from 1.
    pub partition: u32,
    /// The new owner.
    pub cpu: usize,
    /// The CPU that it was withdrawn from; `None` for one that no CPU claimed.
    pub from: Option<usize>,
}

/// A CPU that has asked for a partition.
#[derive(Clone, Copy, Debug)]
struct Cpu {
    number: usize,
    claim: u32,
    last: u64,
}

/// Packets of each CPU at one moment.
#[derive(Debug)]
struct Sample {
    at: u64,
    packets: Vec<u64>,
}

impl Sample {
    fn since(&self, claims: &impl Claims, cpu: usize) -> u64 {
        let before = self.packets.get(cpu).copied().unwrap_or_default();
        claims.packets(cpu).wrapping_sub(before)
    }
}

/// The partitions of a table.
#[derive(Debug)]
pub struct Partitions {
    /// Numbered from 1.
    total: u32,
    /// Time of the newest packet, nanoseconds.
    now: u64,
    /// CPUs without one, the most urgent first.
    waiting: Vec<usize>,
    withdrawn: Vec<(u32, usize)>,
    /// When each may be handed over [`BURST`] times again, nanoseconds.
    rested: Vec<u64>,
    sample: Option<Sample>,
    scarce: usize,
}

impl Partitions {
    /// So many partitions, in whatever hands.
    pub fn new(total: u32) -> Self {
        Self {
            total,
            now: 0,
            waiting: Vec::new(),
            withdrawn: Vec::new(),
            rested: vec![0; total as usize],
            sample: None,
            scarce: 0,
        }
    }

    /// Gives partitions to CPUs that wait for one, where an idle CPU or none has one. `wait` waits for a
    /// grace period.
    ///
    /// # Errors
    ///
    /// The error of `wait`. No partition was given then; the next call finds the withdrawn ones.
    pub fn hand_over<C: Claims, E>(
        &mut self,
        claims: &mut C,
        wait: impl FnOnce(&mut C) -> Result<(), E>,
    ) -> Result<Vec<Given>, E> {
        if !self.withdraw(claims) {
            return Ok(Vec::new());
        }
        wait(claims)?;
        Ok(self.give(claims))
    }

    /// Step 1. `false`: there is nothing to give, and no need to wait.
    fn withdraw(&mut self, claims: &mut impl Claims) -> bool {
        self.waiting.clear();
        self.withdrawn.clear();
        let all: Vec<u32> = (0..claims.cpus()).map(|cpu| claims.claim(cpu)).collect();
        if !all.contains(&NO_PARTITION) {
            (self.sample, self.scarce) = (None, 0);
            return false;
        }
        let asked = all.iter().enumerate().filter(|(_, claim)| **claim != 0);
        let cpus = asked.map(|(number, &claim)| Cpu { number, claim, last: claims.last(number) });
        let (mut waiting, mut owners): (Vec<Cpu>, Vec<Cpu>) = cpus.partition(|cpu| cpu.claim == NO_PARTITION);
        self.now = waiting.iter().chain(&owners).map(|cpu| cpu.last).max().unwrap_or_default();
        waiting.retain(|cpu| cpu.last.saturating_add(RECENT) > self.now);
        waiting.sort_by_key(|cpu| Reverse(cpu.last));
        let free = self.free(&all).count();
        owners.retain(|owner| owner.last.saturating_add(AWAY) <= self.now || self.may_move(owner.claim));
        owners.sort_by_key(|cpu| cpu.last);
        let idle = waiting.iter().skip(free).zip(&owners);
        let idle = idle.take_while(|(waiting, owner)| owner.last.saturating_add(IDLE) <= waiting.last);
        let mut donors: Vec<Cpu> = idle.map(|(_, owner)| *owner).collect();
        self.waiting = waiting.iter().map(|cpu| cpu.number).collect();
        if waiting.is_empty() || free > 0 || !donors.is_empty() {
            (self.sample, self.scarce) = (None, 0);
        } else {
            donors.extend(self.least_busy(claims, &owners));
        }
        for donor in &donors {
            claims.set_claim(donor.number, NO_PARTITION);
            self.withdrawn.push((donor.claim, donor.number));
        }
        !donors.is_empty() || free > 0 && !self.waiting.is_empty()
    }

    /// Step 3, after the grace period: gives the withdrawn partitions to their new CPUs.
    fn give(&mut self, claims: &mut impl Claims) -> Vec<Given> {
        let all: Vec<u32> = (0..claims.cpus()).map(|cpu| claims.claim(cpu)).collect();
        let free: Vec<u32> = self.free(&all).collect();
        let mut given = Vec::new();
        for (cpu, partition) in std::mem::take(&mut self.waiting).into_iter().zip(free) {
            claims.set_claim(cpu, partition);
            if let Some(rested) = self.rested.get_mut(partition as usize - 1) {
                *rested = (*rested)
                    .max(self.now)
                    .saturating_add(PERIOD)
                    .min(self.now.saturating_add(BURST * PERIOD));
            }
            let from = self.withdrawn.iter().find(|(number, _)| *number == partition);
            given.push(Given { partition, cpu, from: from.map(|(_, cpu)| *cpu) });
        }
        given
    }

    /// CPUs that have been without a partition for a while, since the owners receive more.
    pub const fn scarce(&self) -> usize {
        self.scarce
    }

    /// Partitions that no CPU claims. Once a CPU has found none left, all are taken: a grace period later,
    /// each of those that were being taken at that moment is claimed.
    fn free<'a>(&self, claims: &'a [u32]) -> impl Iterator<Item = u32> + use<'a> {
        (1..=self.total).filter(|number| !claims.contains(number))
    }

    fn may_move(&self, partition: u32) -> bool {
        let rested = self.rested.get((partition as usize).wrapping_sub(1));
        rested.is_some_and(|rested| *rested <= self.now.saturating_add((BURST - 1) * PERIOD))
    }

    /// The owner with the fewest packets, where a CPU that waits has far more; that one is the first to get it.
    fn least_busy(&mut self, claims: &impl Claims, owners: &[Cpu]) -> Option<Cpu> {
        let now = self.now;
        let sample = self.sample.get_or_insert_with(|| Sample {
            at: now,
            packets: (0..claims.cpus()).map(|cpu| claims.packets(cpu)).collect(),
        });
        if now < sample.at.saturating_add(COMPARED) {
            return None;
        }
        let sample = self.sample.take()?;
        self.waiting.sort_by_cached_key(|cpu| Reverse(sample.since(claims, *cpu)));
        let most = self.waiting.first().map_or(0, |cpu| sample.since(claims, *cpu));
        let owner = owners.iter().min_by_key(|owner| sample.since(claims, owner.number));
        let owner = owner.filter(|owner| sample.since(claims, owner.number).saturating_mul(BUSIER) < most);
        self.scarce = if owner.is_none() { self.waiting.len() } else { 0 };
        owner.copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claims, last packets and packets of each CPU.
    struct Machine {
        claims: Vec<u32>,
        last: Vec<u64>,
        packets: Vec<u64>,
    }

    impl Claims for Machine {
        fn cpus(&self) -> usize {
            self.claims.len()
        }
        fn claim(&self, cpu: usize) -> u32 {
            self.claims[cpu]
        }
        fn set_claim(&mut self, cpu: usize, claim: u32) {
            assert_ne!(self.claims[cpu], 0, "CPU {cpu} is about to take one itself");
            self.claims[cpu] = claim;
        }
        fn last(&self, cpu: usize) -> u64 {
            self.last[cpu]
        }
        fn packets(&self, cpu: usize) -> u64 {
            self.packets[cpu]
        }
    }

    impl Machine {
        fn new<const N: usize>(claims: [u32; N]) -> Self {
            Self { claims: claims.to_vec(), last: vec![0; N], packets: vec![0; N] }
        }

        /// A packet on a CPU.
        fn receives(&mut self, cpu: usize, time: u64, packets: u64) {
            self.last[cpu] = time;
            self.packets[cpu] += packets;
        }
    }

    fn hand_over(partitions: &mut Partitions, machine: &mut Machine) -> Vec<(u32, usize)> {
        if !partitions.withdraw(machine) {
            return Vec::new();
        }
        let given = partitions.give(machine);
        given.iter().map(|given| (given.partition, given.cpu)).collect()
    }

    const NONE: u32 = NO_PARTITION;
    /// A time at which the machine has been up for long.
    const UP: u64 = 1000 * SECOND;

    #[test]
    fn an_idle_cpu_gives_its_partition_up_to_one_that_begins_to_receive() {
        let (mut machine, mut partitions) = (Machine::new([1, 2, NONE, 0]), Partitions::new(2));
        machine.receives(0, UP, 10);
        machine.receives(1, UP - 10 * SECOND, 10);
        machine.receives(2, UP, 1);
        assert!(partitions.withdraw(&mut machine));
        assert_eq!(machine.claims, [1, NONE, NONE, 0]);
        assert_eq!(partitions.give(&mut machine), [Given { partition: 2, cpu: 2, from: Some(1) }]);
        assert_eq!(machine.claims, [1, NONE, 2, 0]);
        // Without a packet it does not ask for it again.
        assert_eq!(hand_over(&mut partitions, &mut machine), []);
        machine.receives(2, UP + SECOND, 1);
        assert_eq!(hand_over(&mut partitions, &mut machine), []);
    }

    #[test]
    fn a_cpu_that_just_received_keeps_its_partition() {
        let (mut machine, mut partitions) = (Machine::new([1, NONE]), Partitions::new(1));
        machine.receives(0, UP, 1);
        machine.receives(1, UP + IDLE - 1, 1);
        assert_eq!(hand_over(&mut partitions, &mut machine), []);
        machine.receives(1, UP + IDLE, 1);
        assert_eq!(hand_over(&mut partitions, &mut machine), [(1, 1)]);
    }

    #[test]
    fn a_partition_that_a_killed_agent_had_withdrawn_is_given_without_another() {
        let (mut machine, mut partitions) = (Machine::new([1, NONE, NONE]), Partitions::new(2));
        machine.receives(0, UP - SECOND, 1);
        machine.receives(1, UP - 10 * SECOND, 1);
        machine.receives(2, UP, 1);
        assert!(partitions.withdraw(&mut machine));
        assert_eq!(partitions.give(&mut machine), [Given { partition: 2, cpu: 2, from: None }]);
        assert_eq!(machine.claims, [1, NONE, 2]);
    }

    #[test]
    fn several_cpus_at_once_and_the_longest_idle_first() {
        let (mut machine, mut partitions) = (Machine::new([1, 2, 3, NONE, NONE]), Partitions::new(3));
        for (cpu, last) in [(0, UP), (1, UP - 9 * SECOND), (2, UP - 2 * SECOND), (3, UP), (4, UP - 1)] {
            machine.receives(cpu, last, 1);
        }
        assert_eq!(hand_over(&mut partitions, &mut machine), [(2, 3), (3, 4)]);
        assert_eq!(machine.claims, [1, NONE, NONE, 2, 3]);
    }

    #[test]
    fn cpus_that_take_turns_change_hands_now_and_then_only() {
        let (mut machine, mut partitions) = (Machine::new([1, NONE]), Partitions::new(1));
        let mut moved = 0;
        for turn in 0..600 {
            machine.receives(turn % 2, UP + turn as u64 * 100 * MILLISECOND, 100);
            moved += hand_over(&mut partitions, &mut machine).len() as u64;
        }
        // In a minute.
        assert!((BURST..=BURST + 1).contains(&moved), "{moved}");
    }

    #[test]
    fn a_cpu_that_is_away_gives_its_partition_up_however_often_it_changed_hands() {
        let (mut machine, mut partitions) = (Machine::new([1, NONE]), Partitions::new(1));
        for turn in 1..100 {
            machine.receives(turn % 2, UP + turn as u64 * AWAY, 100);
            assert_eq!(hand_over(&mut partitions, &mut machine), [(1, turn % 2)]);
        }
    }

    #[test]
    fn of_cpus_that_all_receive_the_least_busy_is_without() {
        let (mut machine, mut partitions) = (Machine::new([1, 2, NONE]), Partitions::new(2));
        let mut moved = Vec::new();
        for turn in 0..1000 {
            let now = UP + turn * 20 * MILLISECOND;
            for (cpu, packets) in [(0, 1000), (1, 100), (2, 500)] {
                machine.receives(cpu, now, packets);
            }
            moved.extend(hand_over(&mut partitions, &mut machine));
        }
        assert_eq!((moved, machine.claims), (vec![(2, 2)], vec![1, NONE, 2]));
        assert_eq!(partitions.scarce(), 1);
    }

    #[test]
    fn nearly_as_busy_is_no_reason() {
        let (mut machine, mut partitions) = (Machine::new([1, NONE]), Partitions::new(1));
        for turn in 0..1000 {
            for (cpu, packets) in [(0, 10), (1, 40)] {
                machine.receives(cpu, UP + turn * 20 * MILLISECOND, packets);
            }
            assert_eq!(hand_over(&mut partitions, &mut machine), []);
        }
        assert_eq!(partitions.scarce(), 1);
    }
}
