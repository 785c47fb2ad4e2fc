//! A reload and the collectors: all changes are prepared first, and hold at one instant.

use anyhow::{Context, ensure};
use flowxdp_core::clock::{AgentTime, Now};

use super::{Dispatch, Leaving, Strategy, names};
use crate::{
    config::{Config, choices::Choice, nanoseconds},
    exporting::exporter::{Exporter, Outcome, Renewal, Settings},
    limits,
};

/// Files that a collector opens: a socket, and its spool.
pub const DESCRIPTORS: usize = 5;

/// A collector of the next configuration.
enum Next {
    /// The exporter at this place stays.
    Stays(usize, Box<Renewal>),
    Comes(Box<Exporter>),
}

/// The collectors of the next configuration, all of which can be had.
pub struct Plan {
    next: Vec<Next>,
    strategy: Strategy,
    /// Nanoseconds.
    hold: u64,
}

impl Plan {
    /// The plan is not to hold: nothing of it is left behind.
    pub fn withdraw(self) {
        for next in self.next {
            if let Next::Comes(exporter) = next {
                exporter.withdraw();
            }
        }
    }
}

impl Dispatch {
    /// Whether each record goes to one collector.
    pub(super) fn is_divided(&self) -> bool {
        self.strategy.divides()
    }

    /// Prepares the collectors of a configuration; nothing changes yet. `settings` are that configuration's, `wall_ms`
    /// is the time in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// A collector cannot be had: its files, its message size, or a page of the journal.
    pub fn plan(
        &self,
        config: &Config,
        settings: &Settings,
        real: AgentTime,
        wall_ms: u64,
    ) -> anyhow::Result<Plan> {
        let strategy = config.exporting.strategy;
        ensure!(
            self.is_divided() || !strategy.divides() || self.exporters.len() <= 1,
            "exporting.strategy cannot change from replicate to {} while there are several collectors, as the books \
             of each count every record by now: leave one collector, reload, and add the others with the strategy",
            strategy.name()
        );
        let settings = Settings { ledger: None, ..settings.clone() };
        let mut plan = Plan { next: Vec::new(), strategy, hold: nanoseconds(config.exporting.failover_hold) };
        let planned = self.plan_exporters(config, &settings, real, wall_ms, &mut plan);
        match planned {
            Ok(()) => Ok(plan),
            Err(why) => {
                plan.withdraw();
                Err(why)
            }
        }
    }

    fn plan_exporters(
        &self,
        config: &Config,
        settings: &Settings,
        real: AgentTime,
        wall_ms: u64,
        plan: &mut Plan,
    ) -> anyhow::Result<()> {
        for url in &config.exporter {
            let (endpoint, tls) = (url.endpoint(settings.protocol), config.tls_of(url));
            let place = self.exporters.iter().position(|exporter| *exporter.endpoint() == endpoint);
            if let Some((place, exporter)) = place.and_then(|place| Some((place, self.exporters.get(place)?)))
            {
                let renewal = exporter.renewal(url, tls, settings)?;
                plan.next.push(Next::Stays(place, Box::new(renewal)));
                continue;
            }
            ensure!(
                !self.leaving.iter().any(|leaving| *leaving.exporter().endpoint() == endpoint),
                "collector {url} is still being removed: ask again in some seconds"
            );
            let exporter = Exporter::new(url.clone(), tls, settings, real, wall_ms)?;
            plan.next.push(Next::Comes(Box::new(exporter)));
        }
        let coming = plan.next.iter().filter(|next| matches!(next, Next::Comes(_))).count();
        if let Some(ledger) = &self.ledger {
            ensure!(
                coming <= ledger.borrow().free_pages(),
                "with pins there are at most 16 collectors, with those that are being removed: name fewer, or ask \
                 again in some seconds"
            );
        }
        limits::descriptors(coming * DESCRIPTORS).context("no room for more collectors")
    }

    /// Applies the plan: from now on records go to these collectors. A collector that is not among them gets
    /// the records queued for it, and goes.
    ///
    /// # Errors
    ///
    /// There are more collectors than pages, which the plan rules out.
    pub fn change(&mut self, plan: Plan, real: AgentTime, now: Now) -> anyhow::Result<()> {
        let stays =
            |at: usize| plan.next.iter().any(|next| matches!(next, Next::Stays(place, _) if *place == at));
        let (staying, gone): (Vec<usize>, Vec<usize>) = (0..self.exporters.len()).partition(|at| stays(*at));
        let (was_divided, is_divided) = (self.is_divided(), plan.strategy.divides());
        let reference = self.reference(&staying, is_divided);
        let mut before: Vec<Option<Exporter>> =
            std::mem::take(&mut self.exporters).into_iter().map(Some).collect();
        // Records of before are owed to collectors of before.
        let outcomes: Vec<Outcome> = before
            .iter()
            .enumerate()
            .filter_map(|(at, it)| {
                let it = it.as_ref()?;
                Some(if staying.contains(&at) { it.outcome().with(it.queued()) } else { it.outcome() })
            })
            .collect();
        let of_others = |at: Option<usize>| {
            let others = outcomes.iter().enumerate().filter(|(other, _)| Some(*other) != at);
            others.fold(Outcome::default(), |all, (_, outcome)| all.and(outcome))
        };
        let joins = was_divided && !is_divided;
        let owed = match reference {
            _ if joins => of_others(None),
            Some(at) => outcomes.get(at).copied().unwrap_or_default(),
            None => Outcome::default(),
        };
        let excused = !is_divided && !staying.is_empty();
        let mut passed_on = Vec::new();
        // Their names are free before others come.
        for at in gone {
            let Some(exporter) = before.get_mut(at).and_then(Option::take) else { continue };
            let is_alone = was_divided || staying.is_empty() && reference.is_none_or(|it| it == at);
            passed_on.push(exporter.outcome());
            self.leaving.push(Leaving::new(exporter, real, is_alone));
        }
        for next in plan.next {
            match next {
                Next::Stays(at, renewal) => {
                    let Some(mut exporter) = before.get_mut(at).and_then(Option::take) else { continue };
                    exporter.change(*renewal, real, now);
                    if joins {
                        exporter.join(&of_others(Some(at)));
                    }
                    self.exporters.push(exporter);
                }
                Next::Comes(mut exporter) => {
                    exporter.begin(&owed, self.ledger.as_ref(), excused)?;
                    self.exporters.push(*exporter);
                }
            }
        }
        if let Some(first) = self.exporters.first_mut().filter(|_| is_divided) {
            passed_on.iter().for_each(|outcome| first.follow(&Outcome::default(), outcome));
        }
        (self.strategy, self.hold) = (plan.strategy, plan.hold);
        self.names = names(&self.exporters);
        self.usable = vec![true; self.exporters.len()];
        self.wakes = vec![None; self.exporters.len()];
        Ok(())
    }

    /// The collector whose terms begin the books of those that come: one that stays, or the one that is furthest behind
    /// of those that go. None where each record goes to one collector, before or from now on: the books are sums then.
    fn reference(&self, staying: &[usize], is_divided: bool) -> Option<usize> {
        if self.is_divided() || is_divided {
            return None;
        }
        let exported = |at: &usize| self.exporters.get(*at).map(Exporter::exported_records);
        staying.first().copied().or_else(|| (0..self.exporters.len()).min_by_key(exported))
    }
}
