//! The books of one collector against the records received there: every record at least once, and duplicates
//! named.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::judge::sessions::Received;
pub use crate::records::Records;

/// The rows of one collector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Handed to the kernel, and not taken back.
    pub exported: Records,
    /// On the way.
    pub queued: Records,
    /// Given up.
    pub lost: Records,
    /// May have come twice.
    pub perhaps_twice: Records,
    /// Records found in the spool, and how many of them were exported and lost.
    pub inherited: [Records; 3],
    /// Given up, by reason.
    pub lost_by_reason: BTreeMap<String, Records>,
}

impl Rows {
    /// Reads a collector's object; a row that is not there is an error.
    pub fn read(collector: &Value) -> Result<Self> {
        let row = |name: &str| {
            collector.get(name).and_then(Records::read).with_context(|| format!("no {name}: {collector}"))
        };
        let reasons = collector.get("lost_by_reason").and_then(Value::as_object).context("no reasons")?;
        let reasons = reasons.iter().filter_map(|(name, row)| Some((name.clone(), Records::read(row)?)));
        Ok(Self {
            exported: row("exported")?,
            queued: row("queued")?,
            lost: row("lost")?,
            perhaps_twice: row("perhaps_twice")?,
            inherited: [row("inherited")?, row("inherited_exported")?, row("inherited_lost")?],
            lost_by_reason: reasons.collect(),
        })
    }

    /// Records that this run retired: each is in one of the three places, or the books are wrong.
    pub fn retired(&self) -> Records {
        self.exported + self.queued + self.lost
    }

    /// Records that this run sent, of its own and of an earlier run's.
    pub fn sent(&self) -> Records {
        self.exported + self.inherited[1]
    }

    /// Fails unless the received records are the sent ones, each at least once, with no more duplicates than
    /// are named. For an exporter at rest, which ended its sessions.
    pub fn delivered(&self, received: &Received) -> Result<()> {
        let (distinct, all, sent) = (received.distinct(), received.all(), self.sent());
        ensure!(distinct == sent, "sent {sent:?}, but received {distinct:?}: {self:?}");
        let most = sent + self.perhaps_twice;
        ensure!(all.within(&most), "{all:?} came, and at most {most:?} is named: {self:?}");
        Ok(())
    }
}
