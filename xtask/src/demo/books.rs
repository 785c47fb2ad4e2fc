//! The agent's books as `flowxdp status --json` tells them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use anyhow::{Context, Result};
use serde_json::Value;

/// Packets and octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

/// One account: of everything, or of one interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) seen: Count,
    pub(crate) ignored: Count,
    pub(crate) lost: Count,
}

/// The books.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) total: Account,
    pub(crate) exported: Count,
    pub(crate) queued: Count,
    pub(crate) in_table: Count,
    pub(crate) interfaces: BTreeMap<String, Account>,
}

impl Books {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let books: Value = serde_json::from_str(text).context("the books are not JSON")?;
        let mut interfaces = BTreeMap::new();
        for (name, account) in books["interfaces"].as_object().context("the books name no interfaces")? {
            interfaces
                .insert(name.clone(), Account::parse(account).with_context(|| format!("interface {name}"))?);
        }
        Ok(Self {
            total: Account::parse(&books)?,
            exported: Count::parse(&books["exported"]).context("exported")?,
            queued: Count::parse(&books["queued"]).context("queued")?,
            in_table: Count::parse(&books["in_table"]).context("in_table")?,
            interfaces,
        })
    }

    /// What the books say became of every packet that was seen.
    pub(crate) fn explained(&self) -> Count {
        self.exported + self.queued + self.in_table + self.total.ignored + self.total.lost
    }
}

impl Account {
    fn parse(account: &Value) -> Result<Self> {
        Ok(Self {
            seen: Count::parse(&account["seen"]).context("seen")?,
            ignored: Count::sum(&account["ignored"]).context("ignored")?,
            lost: Count::sum(&account["lost"]).context("lost")?,
        })
    }

    /// Packets that are in flow records, or will be, or were lost on the way there.
    pub(crate) fn metered(&self) -> Count {
        self.seen - self.ignored
    }
}

impl Count {
    fn parse(count: &Value) -> Result<Self> {
        let field = |name| count[name].as_u64().with_context(|| format!("no number of {name}"));
        Ok(Self { packets: field("packets")?, octets: field("octets")? })
    }

    /// Adds up what is told by reason.
    fn sum(reasons: &Value) -> Result<Self> {
        let mut sum = Self::default();
        for count in reasons.as_object().context("no reasons")?.values() {
            sum += Self::parse(count)?;
        }
        Ok(sum)
    }

    /// Adds up flow records, one JSON object a line.
    pub(crate) fn of_flows(lines: &str) -> Result<(usize, Self)> {
        let (mut flows, mut sum) = (0, Self::default());
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let flow: Value = serde_json::from_str(line).context("the collector's line is not JSON")?;
            let field = |name| flow[name].as_u64().with_context(|| format!("a flow record has no {name}"));
            sum += Self { packets: field("packetDeltaCount")?, octets: field("octetDeltaCount")? };
            flows += 1;
        }
        Ok((flows, sum))
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, octets: self.octets + other.octets }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Count {
    type Output = Self;

    /// Books that contradict themselves give 0, and the comparison fails on that.
    fn sub(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(other.packets),
            octets: self.octets.saturating_sub(other.octets),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:>8} packets {:>11} octets", self.packets, self.octets)
    }
}
