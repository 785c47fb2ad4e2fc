//! The choice of collectors for a record: all, the one of its flow, or the first that is there.
//!
//! One collector that stalls never slows another: as long as any has room, those without lose records,
//! which their books name. Only when none has room, flows that are due stay in the flow table.

pub mod change;
mod leaving;

use std::hash::{BuildHasher, Hash};

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    books::Books,
    clock::{AgentTime, MeterTime, Now},
    exporting::options::Snapshot,
    record::{Batch, DeliveryId, Entry, FlowRecord},
};

use self::leaving::Leaving;
use crate::{
    exporting::deliveries::SharedLedger,
    exporting::exporter::{Exporter, QUEUE},
};

/// The collectors that get a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Every collector gets every record.
    Replicate,
    /// Each flow goes to one collector; one that is lost moves its own share only.
    Balance,
    /// The first collector that is there gets every record.
    Failover,
}

impl Strategy {
    /// Whether each record goes to one collector: the books are sums then.
    pub const fn divides(self) -> bool {
        !matches!(self, Self::Replicate)
    }
}

/// All collectors of an agent.
pub struct Dispatch {
    exporters: Vec<Exporter>,
    /// The hash of each collector's URL, for its weights.
    names: Vec<u64>,
    strategy: Strategy,
    /// How long a collector must be back before failover returns to it, nanoseconds.
    hold: u64,
    /// The last poll.
    real: AgentTime,
    /// Whether each collector took records at the last poll: a change moves its share.
    usable: Vec<bool>,
    ledger: Option<SharedLedger>,
    /// When each collector wants to be polled again, as its last poll said; behind them, those that leave.
    wakes: Vec<Option<AgentTime>>,
    /// Collectors that a reload removed, as long as their queues leave.
    leaving: Vec<Leaving>,
}

impl Dispatch {
    /// `hold` is in nanoseconds.
    pub fn new(
        exporters: Vec<Exporter>,
        strategy: Strategy,
        hold: u64,
        ledger: Option<SharedLedger>,
    ) -> Self {
        let usable = vec![true; exporters.len()];
        let (names, wakes) = (names(&exporters), vec![None; exporters.len()]);
        let (real, leaving) = (AgentTime::START, Vec::new());
        Self { exporters, names, strategy, hold, real, usable, ledger, wakes, leaving }
    }

    /// No collector, as before the first packet of a replay.
    pub fn none() -> Self {
        Self::new(Vec::new(), Strategy::Replicate, 0, None)
    }

    /// Every collector.
    pub fn all(&self) -> &[Exporter] {
        &self.exporters
    }

    /// Every collector.
    pub fn all_mut(&mut self) -> &mut [Exporter] {
        &mut self.exporters
    }

    /// Queues a record, with its extension row or without, for its collectors.
    pub fn push<'a>(&mut self, entry: impl Into<Entry<'a>>, now: Now) {
        let entry = entry.into();
        let patient = self.exporters.len() == 1;
        let chosen = if self.strategy.divides() { self.choose(entry.record) } else { None };
        let has = self.expect(entry.record.delivery, chosen);
        for (at, exporter) in self.exporters.iter_mut().enumerate() {
            if chosen.is_none_or(|chosen| at == chosen) && exporter.bit() & has == 0 {
                exporter.push(entry, now, patient);
            }
        }
    }

    /// Its slots stay until each collector of a record has delivered it. Gives the bits of the collectors that
    /// need no copy: an earlier agent delivered it to them, or, where each record goes to one, to any.
    fn expect(&mut self, delivery: DeliveryId, chosen: Option<usize>) -> u32 {
        let Some(ledger) = self.ledger.as_ref().filter(|_| delivery != DeliveryId::NONE) else { return 0 };
        let mut ledger = ledger.borrow_mut();
        let bits = self.exporters.iter().map(Exporter::bit);
        let all = bits.enumerate().filter(|(at, _)| chosen.is_none_or(|chosen| *at == chosen));
        let all = all.fold(0, |all, (_, bit)| all | bit);
        let has = match ledger.has(delivery) {
            0 => 0,
            has if chosen.is_none() => has,
            _ => all,
        };
        ledger.expect(delivery, all & !has);
        if all & !has == 0 {
            ledger.drop(delivery);
        }
        has
    }

    /// The collector of a flow, where it has one.
    fn choose(&self, record: &FlowRecord) -> Option<usize> {
        let usable = self.usable.iter().enumerate().filter(|(_, usable)| **usable).map(|(at, _)| at);
        // With none, records wait where they would go if all were there.
        let none = !self.usable.contains(&true);
        let all = (0..self.exporters.len()).filter(|_| none);
        let mut candidates = usable.chain(all);
        match self.strategy {
            Strategy::Balance => {
                let key = record.key();
                candidates.max_by_key(|&at| hash(&(self.names.get(at), key)))
            }
            Strategy::Failover | Strategy::Replicate => candidates.next(),
        }
    }

    /// Records that there is room for: of the collector that has most, as others must not wait.
    pub fn room(&self) -> usize {
        self.exporters.iter().map(Exporter::room).max().unwrap_or(0)
    }

    /// Records that every collector has room for that has not been given up.
    pub fn least_room(&self) -> usize {
        let there = self.exporters.iter().filter(|exporter| !exporter.is_given_up());
        there.map(Exporter::room).min().unwrap_or(QUEUE)
    }

    /// When the first message is ready.
    pub fn deadline(&self) -> MeterTime {
        self.exporters.iter().filter_map(Exporter::deadline).min().unwrap_or(MeterTime::NEVER)
    }

    /// Lets every collector send; [`Dispatch::wakes`] says when to do so again.
    pub fn poll(&mut self, real: AgentTime, now: Now, flush: bool) {
        self.real = real;
        for (exporter, wake) in self.exporters.iter_mut().zip(&mut self.wakes) {
            *wake = exporter.poll(real, now, flush);
        }
        if !self.leaving.is_empty() {
            self.poll_leaving(real, now);
        }
        if self.strategy.divides() {
            self.move_shares(now);
        }
    }

    /// When each collector wants to be polled again at the latest.
    pub fn wakes(&self) -> &[Option<AgentTime>] {
        &self.wakes
    }

    /// Moves records that are in no message yet from collectors that are lost to collectors that are there.
    fn move_shares(&mut self, now: Now) {
        let usable: Vec<bool> = self.exporters.iter().map(|exporter| self.is_usable(exporter)).collect();
        let moving = (0..usable.len()).filter(|&at| !usable[at]);
        let mut orphans: Vec<Batch> = if usable.contains(&true) {
            moving.map(|at| self.exporters[at].drain()).collect()
        } else {
            Vec::new()
        };
        if usable != self.usable {
            for (exporter, (now, before)) in self.exporters.iter().zip(usable.iter().zip(&self.usable)) {
                if now != before {
                    let news = if *now { "takes its share again" } else { "is lost: others take its share" };
                    log::warn!("collector {}: {news}", exporter.url());
                }
            }
            self.usable = usable;
        }
        for batch in &mut orphans {
            batch.each(|entry| self.push(entry, now));
        }
    }

    fn is_usable(&self, exporter: &Exporter) -> bool {
        exporter.availability().is_some_and(|since| {
            // A collector that was away proves itself first.
            since == AgentTime::START || self.real.since(since) >= self.hold
        })
    }

    /// Gives every collector the exporter's own state, for options data; `force` sends it at the next poll.
    pub fn announce(&mut self, snapshot: &Snapshot, force: bool) {
        for exporter in &mut self.exporters {
            exporter.tell(snapshot, force);
        }
    }

    /// Brings every collector's part into the books.
    pub fn enter(&self, books: &mut Books) {
        books.divided = self.strategy.divides();
        for exporter in &self.exporters {
            books.collectors.insert(exporter.url().to_string(), exporter.books());
        }
        for leaving in &self.leaving {
            let (mut name, terms) = (leaving.url().to_string(), leaving.books());
            // A collector with another protocol may have the same URL.
            while books.collectors.contains_key(&name) {
                name.push_str(" (removed)");
            }
            books.collectors.insert(name, terms);
        }
    }

    /// Gives up, as unreachable, every collector that is not settled and made no progress while it was waited
    /// for, since `begun` and before, for more than `patience` nanoseconds altogether. `flush` is as in
    /// [`Dispatch::is_settled`].
    pub fn lose_patience(&mut self, real: AgentTime, now: Now, flush: bool, begun: AgentTime, patience: u64) {
        for exporter in self.exporters.iter_mut().filter(|exporter| !exporter.is_settled(now, flush)) {
            if exporter.waited(begun, real) > patience {
                exporter.give_up(Undelivered::CollectorUnreachable, real, now);
            }
        }
    }

    /// Ends every connection in order; true when all have ended.
    pub fn close(&mut self, real: AgentTime) -> bool {
        let mut closed = true;
        for exporter in &mut self.exporters {
            closed &= exporter.close(real);
        }
        closed
    }

    /// Gives up, as unreachable, every collector whose connection has not ended.
    pub fn give_up_open(&mut self, real: AgentTime, now: Now) {
        for exporter in self.exporters.iter_mut().filter(|exporter| !exporter.is_closed()) {
            exporter.give_up(Undelivered::CollectorUnreachable, real, now);
        }
    }

    /// Whether no collector has a message ready; with `flush`, whether none has a record left.
    pub fn is_settled(&self, now: Now, flush: bool) -> bool {
        self.exporters.iter().all(|exporter| exporter.is_settled(now, flush))
            && (!flush || self.leaving.is_empty())
    }
}

fn names(exporters: &[Exporter]) -> Vec<u64> {
    exporters.iter().map(|exporter| hash(&exporter.url().to_string())).collect()
}

/// The weight of a flow at a collector, for rendezvous hashing: the collector with the highest weight has
/// the flow, so that one that goes or comes moves its own share alone. The same in every run.
fn hash(of: &impl Hash) -> u64 {
    foldhash::quality::FixedState::default().hash_one(of)
}
