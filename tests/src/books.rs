//! The books as the agent states them in JSON, and the equation that they must keep.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::delivery::Rows;

/// Packets and octets of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, octets: self.octets + other.octets }
    }
}

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| sum + count)
    }
}

/// Rows by reason.
pub type Reasons = BTreeMap<String, Count>;

/// The books of one interface.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// All packets.
    pub seen: Count,
    /// Not metered.
    pub ignored: Count,
    /// Lost.
    pub lost: Count,
    /// Metered inside a tunnel; octets outside.
    pub unwrapped: Count,
}

/// The books of one collector.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// Sent.
    pub exported: Count,
    /// Records sent.
    pub exported_records: u64,
    /// Not sent yet.
    pub queued: Count,
    /// Records not sent yet.
    pub queued_records: u64,
    /// Lost there.
    pub lost: Count,
    /// The same by reason, as far as there are any.
    pub lost_by_reason: Reasons,
    /// Sent again after a break.
    pub perhaps_twice: Count,
    /// Records sent again.
    pub perhaps_twice_records: u64,
    /// Every row with its records.
    pub rows: Rows,
}

impl Collector {
    /// All records that were meant for it.
    pub fn total(&self) -> Count {
        self.exported + self.queued + self.lost
    }
}

/// Which CPU has which partition of the flow table.
#[derive(Clone, Debug, Default)]
pub struct Partitions {
    /// How many there are.
    pub total: u64,
    /// By CPU.
    pub by_cpu: BTreeMap<usize, u64>,
    /// CPUs that have none.
    pub without: Vec<u64>,
    /// Packets that went through the ring buffer.
    pub ring_buffer: Count,
}

/// All books at one moment.
#[derive(Clone, Debug)]
pub struct Books {
    /// All packets.
    pub seen: Count,
    /// In records that were sent.
    pub exported: Count,
    /// In records that were not sent yet.
    pub queued: Count,
    /// In slots of the table.
    pub in_table: Count,
    /// Not metered, by reason.
    pub ignored: Reasons,
    /// Lost, by reason.
    pub lost: Reasons,
    /// By interface name.
    pub interfaces: BTreeMap<String, Interface>,
    /// By URL.
    pub collectors: BTreeMap<String, Collector>,
    /// Of an agent that runs.
    pub partitions: Option<Partitions>,
    /// All packets as the counters said before and after the rest was read. Without traffic they are equal.
    pub bracket: (Count, Count),
}

impl Books {
    /// Reads the JSON object; a key of the contract that the object lacks is an error.
    pub fn parse(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text).with_context(|| format!("books: {text}"))?;
        Self::read(&json).with_context(|| format!("books: {text}"))
    }

    fn read(json: &Value) -> Result<Self> {
        let interface = |value: &Value| {
            Ok(Interface {
                seen: count(value, "seen")?,
                ignored: total(value, "ignored")?,
                lost: total(value, "lost")?,
                unwrapped: value
                    .get("unwrapped")
                    .map_or(Ok(Count::default()), |_| count(value, "unwrapped"))?,
            })
        };
        let collector = |value: &Value| {
            let exported = value.get("exported").context("no exported")?;
            Ok(Collector {
                exported: count(value, "exported")?,
                exported_records: number(exported, "records")?,
                queued: count(value, "queued")?,
                queued_records: number(value.get("queued").context("no queued")?, "records")?,
                lost: total(value, "lost")?,
                lost_by_reason: reasons(value, "lost_by_reason")?,
                perhaps_twice: count(value, "perhaps_twice")?,
                perhaps_twice_records: number(value.get("perhaps_twice").context("no row")?, "records")?,
                rows: Rows::read(value)?,
            })
        };
        let bracket = json.get("bracket").context("no bracket")?;
        Ok(Self {
            partitions: json.get("partitions").map(partitions).transpose()?,
            bracket: (count(bracket, "before")?, count(bracket, "after")?),
            seen: count(json, "seen")?,
            exported: count(json, "exported")?,
            queued: count(json, "queued")?,
            in_table: count(json, "in_table")?,
            ignored: reasons(json, "ignored")?,
            lost: reasons(json, "lost")?,
            interfaces: members(json, "interfaces", interface)?,
            collectors: members(json, "collectors", collector)?,
        })
    }

    /// All that was ignored.
    pub fn ignored_total(&self) -> Count {
        self.ignored.values().copied().sum()
    }

    /// All that was lost.
    pub fn lost_total(&self) -> Count {
        self.lost.values().copied().sum()
    }

    /// Fails unless `seen = exported + queued + in table + ignored + lost`, for packets and for octets, with
    /// "seen" between two readings of the counters, and the interfaces in the same bracket.
    pub fn balance(&self) -> Result<()> {
        let accounted =
            self.exported + self.queued + self.in_table + self.ignored_total() + self.lost_total();
        ensure!(self.seen == accounted, "seen {:?} but accounted for {accounted:?}: {self:?}", self.seen);
        let seen: Count = self.interfaces.values().map(|interface| interface.seen).sum();
        for count in [self.seen, seen] {
            let (before, after) = self.bracket;
            let packets = (before.packets..=after.packets).contains(&count.packets);
            let octets = (before.octets..=after.octets).contains(&count.octets);
            ensure!(packets && octets, "{count:?} is not between {before:?} and {after:?}: {self:?}");
        }
        Ok(())
    }

    /// The partition of the flow table that a CPU has.
    pub fn partition_of(&self, cpu: usize) -> Option<u64> {
        self.partitions.as_ref()?.by_cpu.get(&cpu).copied()
    }

    /// Packets that went through the ring buffer.
    pub fn by_ring_buffer(&self) -> u64 {
        self.partitions.as_ref().map_or(0, |partitions| partitions.ring_buffer.packets)
    }

    /// Fails unless the books of a moment without traffic balance, and the interfaces add up to the whole.
    pub fn at_rest(&self) -> Result<()> {
        self.balance()?;
        ensure!(self.bracket.0 == self.bracket.1, "the counters moved: {self:?}");
        let ignored: Count = self.interfaces.values().map(|interface| interface.ignored).sum();
        ensure!(ignored == self.ignored_total(), "the interfaces have ignored {ignored:?}: {self:?}");
        Ok(())
    }

    /// Fails unless everything that was metered has been sent: nothing queued, in the table or lost.
    pub fn all_exported(&self) -> Result<()> {
        self.at_rest()?;
        let rest = self.queued + self.in_table + self.lost_total();
        ensure!(rest == Count::default(), "not everything was exported: {self:?}");
        for (url, collector) in &self.collectors {
            ensure!(
                collector.exported == self.exported,
                "{url}: exported {:?} of {self:?}",
                collector.exported
            );
        }
        Ok(())
    }
}

fn partitions(json: &Value) -> Result<Partitions> {
    let by_cpu = members(json, "by_cpu", |partition| partition.as_u64().context("no number"))?;
    let without = json.get("without").and_then(Value::as_array).context("no array without")?;
    Ok(Partitions {
        total: number(json, "total")?,
        by_cpu: by_cpu
            .into_iter()
            .map(|(cpu, partition)| Ok((cpu.parse()?, partition)))
            .collect::<Result<_>>()?,
        without: without.iter().filter_map(Value::as_u64).collect(),
        ring_buffer: count(json, "ring_buffer")?,
    })
}

fn number(json: &Value, name: &str) -> Result<u64> {
    json.get(name).and_then(Value::as_u64).with_context(|| format!("no number {name}"))
}

fn count(json: &Value, name: &str) -> Result<Count> {
    let row = json.get(name).with_context(|| format!("no {name}"))?;
    both(row).with_context(|| name.to_owned())
}

fn both(row: &Value) -> Result<Count> {
    Ok(Count { packets: number(row, "packets")?, octets: number(row, "octets")? })
}

/// A row, or the sum of the rows by reason that stand in its place.
fn total(json: &Value, name: &str) -> Result<Count> {
    match count(json, name) {
        Ok(row) => Ok(row),
        Err(_) => Ok(reasons(json, name)?.values().copied().sum()),
    }
}

fn reasons(json: &Value, name: &str) -> Result<Reasons> {
    members(json, name, both)
}

fn members<T>(json: &Value, name: &str, read: impl Fn(&Value) -> Result<T>) -> Result<BTreeMap<String, T>> {
    let object = json.get(name).and_then(Value::as_object).with_context(|| format!("no object {name}"))?;
    object.iter().map(|(key, value)| Ok((key.clone(), read(value).with_context(|| key.clone())?))).collect()
}
