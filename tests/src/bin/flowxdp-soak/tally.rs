//! The packets sent, and whether all figures account for them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use flowxdp_tests::books::{Count, Reasons};
use flowxdp_tests::delivery::Records;

use crate::last::{Last, in_kernel};

/// The records that a kill may cost without a spool.
const KILLED: &str = "agent_killed";

/// One collector, over all lives of the table.
#[derive(Default)]
struct Sums {
    /// In records that were handed over.
    sent: Records,
    perhaps_twice: Records,
    /// Given up, by reason.
    lost: BTreeMap<String, Records>,
    /// Records that waited on disk at the end of a life, and records that a later one found there.
    left: Records,
    found: Records,
    came: Records,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Tally {
    /// By the generator, in this life of the table and in those before.
    pub(crate) sent: Count,
    before: Count,
    /// Found no room in the table nor on the way to the agent.
    lost: Reasons,
    collectors: BTreeMap<String, Sums>,
    pub(crate) rounds: u64,
    pub(crate) restarts: u64,
    pub(crate) kills: u64,
    pub(crate) lives: u64,
    pub(crate) events: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// The agent flushed its table and ended, with these books; so much has come to the collectors by now.
    /// `calm`: nothing may be named as perhaps twice.
    pub(crate) fn life(&mut self, last: &Last, came: [Records; 2], calm: bool) -> Result<()> {
        self.lives += 1;
        let sent = std::mem::take(&mut self.sent);
        self.before = self.before + sent;
        ensure!(last.seen == sent, "seen {:?} of {sent:?}: {last:?}", last.seen);
        let rest = last.in_table + last.ignored;
        ensure!(rest == Count::default(), "{rest:?} in the table, or ignored: {last:?}");
        for (reason, count) in last.lost.iter().filter(|(reason, _)| in_kernel(reason)) {
            let sum = self.lost.entry(reason.clone()).or_default();
            *sum = *sum + *count;
        }
        for (url, rows) in &last.collectors {
            let (scheme, _) = url.split_once(':').context("no URL")?;
            let lost = last.lost_of(rows);
            let all = rows.exported + rows.queued + lost;
            let all = Count { packets: all.packets, octets: all.octets };
            ensure!(all == sent, "{url}: {all:?} accounted for of {sent:?}: {last:?}");
            let sums = self.collectors.entry(scheme.to_owned()).or_default();
            sums.sent = sums.sent + rows.sent();
            sums.perhaps_twice = sums.perhaps_twice + rows.perhaps_twice;
            for (reason, lost) in &rows.lost_by_reason {
                let sum = sums.lost.entry(reason.clone()).or_default();
                *sum = *sum + *lost;
            }
            let killed = rows.lost_by_reason.get(KILLED);
            ensure!(killed.is_none(), "{url}: a kill lost {killed:?}: {last:?}");
            ensure!(rows.inherited[2] == Records::default(), "{url}: lost from the disk: {last:?}");
            sums.left = sums.left + rows.queued;
            sums.found = sums.found + rows.inherited[0];
        }
        for (scheme, came) in ["udp", "tcp"].into_iter().zip(came) {
            let sums = self.collectors.get_mut(scheme).context("a collector is not in the books")?;
            sums.came = came;
            let most = if calm { sums.sent } else { sums.sent + sums.perhaps_twice };
            ensure!(
                sums.sent.within(&came) && came.within(&most),
                "{scheme}: {came:?} came of {:?}, and {:?} is named as perhaps twice: {last:?}",
                sums.sent,
                sums.perhaps_twice
            );
        }
        Ok(())
    }

    /// Whether something waits on disk for an agent to come.
    pub(crate) fn is_left(&self) -> bool {
        self.collectors.values().any(|sums| sums.left != sums.found)
    }

    /// Whether everything that waited on disk was found there and sent, at the end of all.
    pub(crate) fn end(&self) -> Result<()> {
        for (scheme, sums) in &self.collectors {
            ensure!(
                sums.left == sums.found,
                "{scheme}: {:?} was left on disk, and {:?} found",
                sums.left,
                sums.found
            );
            let lost: Records = sums.lost.values().copied().sum();
            let kernel: Count = self.lost.values().copied().sum();
            let accounted = sums.sent.packets + lost.packets + kernel.packets;
            ensure!(accounted == self.before.packets, "{scheme}: {accounted} packets of {:?}", self.before);
        }
        Ok(())
    }

    /// Packets so far.
    pub(crate) fn packets(&self) -> u64 {
        self.before.packets + self.sent.packets
    }

    /// A line of progress.
    pub(crate) fn line(&self, elapsed: Duration, answers: u64) -> String {
        format!(
            "{:4} s: {} packets, {} rounds, {} restarts, {} kills; {answers} times the books balanced",
            elapsed.as_secs(),
            grouped(self.packets()),
            self.rounds,
            self.restarts,
            self.kills
        )
    }

    /// All of it.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["", "records", "packets", "octets"]);
        let mut add = |name: String, records: Option<u64>, count: Count| {
            let records = records.map(grouped).unwrap_or_default();
            table.add_row([name, records, grouped(count.packets), grouped(count.octets)]);
        };
        add("sent by the generator".to_owned(), None, self.before + self.sent);
        for (reason, lost) in &self.lost {
            add(format!("lost: {reason}"), None, *lost);
        }
        for (scheme, sums) in &self.collectors {
            let lost = sums.lost.iter().map(|(reason, lost)| (format!("lost: {reason}"), *lost));
            let rows = [("exported", sums.sent), ("perhaps twice", sums.perhaps_twice), ("came", sums.came)];
            for (name, row) in rows.map(|(name, row)| (name.to_owned(), row)).into_iter().chain(lost) {
                let count = Count { packets: row.packets, octets: row.octets };
                add(format!("{scheme}: {name}"), Some(row.records), count);
            }
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let events: Vec<String> = self.events.iter().map(|(name, times)| format!("{times} {name}")).collect();
        format!("{table}\n{} tables of their own; {}", self.lives, events.join(", "))
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    flowxdp::report::grouped(number)
}
