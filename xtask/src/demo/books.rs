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

    /// The terms of the books for all packets that were seen.
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

    /// Adds up counts by reason; an interface has the sum itself.
    fn sum(reasons: &Value) -> Result<Self> {
        if reasons["packets"].is_u64() {
            return Self::parse(reasons);
        }
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
            // The exporter's options data stand between the flows.
            if flow["optionsTemplate"] == true {
                continue;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKS: &str = r#"{
        "seen": {"packets": 10, "octets": 1000}, "exported": {"packets": 4, "octets": 400},
        "queued": {"packets": 2, "octets": 200}, "in_table": {"packets": 1, "octets": 100},
        "ignored": {"not_ip": {"packets": 1, "octets": 42}, "truncated": {"packets": 1, "octets": 58}},
        "lost": {"ring_buffer_full": {"packets": 1, "octets": 200}},
        "interfaces": {"a": {"seen": {"packets": 10, "octets": 1000}, "ignored": {"packets": 2, "octets": 100},
            "lost": {"packets": 1, "octets": 200}}}}"#;

    #[test]
    fn reasons_add_up_and_an_interface_tells_sums() {
        let books = Books::parse(BOOKS).unwrap();
        assert_eq!(books.explained(), books.total.seen);
        assert_eq!(books.interfaces["a"].metered(), Count { packets: 8, octets: 900 });
        assert_eq!(books.total.metered(), books.interfaces["a"].metered());
    }

    #[test]
    fn a_missing_term_is_an_error_and_not_zero() {
        let error = Books::parse(&BOOKS.replace("queued", "waiting")).unwrap_err();
        assert!(format!("{error:#}").starts_with("queued: "), "{error:#}");
    }

    #[test]
    fn flow_records_add_up() {
        let line = concat!(
            r#"{"optionsTemplate": true, "interfaceName": "eth0"}"#,
            "\n",
            r#"{"packetDeltaCount": 3, "octetDeltaCount": 180, "protocolIdentifier": 6}"#
        );
        let (flows, sum) = Count::of_flows(&format!("{line}\n{line}\n")).unwrap();
        assert_eq!((flows, sum), (2, Count { packets: 6, octets: 360 }));
        assert!(Count::of_flows("{}").is_err());
    }
}
