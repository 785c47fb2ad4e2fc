//! The true flows of a capture, as the files beside it state them.
//!
//! `NAME.5.csv` has one row per five-tuple, `NAME.vlan.csv` one per five-tuple, VLAN and type of service,
//! `NAME.inner.csv` and `NAME.joined.csv` one per five-tuple with tunnels opened and with fragments joined,
//! `NAME.ignored.json` the books: how many frames, and how many were ignored for which reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::flows::{Flows, Key, Sums, Tuple};

/// The truth of one capture.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Rows by five-tuple.
    pub flows: Flows,
    /// Rows by five-tuple, VLAN and type of service.
    pub vlan_flows: Flows,
    /// Frames in the capture.
    pub frames: u64,
    /// Packets that are in some flow.
    pub metered_packets: u64,
    /// Their IP octets.
    pub metered_octets: u64,
    /// Packets ignored, by reason.
    pub ignored: BTreeMap<String, u64>,
    /// Rows by five-tuple with tunnels opened, where `NAME.inner.csv` states them.
    pub inner: Option<Flows>,
    /// The same with fragments joined, from `NAME.joined.csv`.
    pub joined: Option<Flows>,
}

impl Truth {
    /// Reads the three files of a capture.
    pub fn read(directory: &Path, name: &str) -> Result<Self> {
        let file = |ending: &str| {
            let path = directory.join(format!("{name}.{ending}"));
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("the truth file {}", path.display()))?;
            anyhow::Ok((text, path))
        };
        let (five, five_path) = file("5.csv")?;
        let (vlan, vlan_path) = file("vlan.csv")?;
        let (books, books_path) = file("ignored.json")?;
        let books: Value = serde_json::from_str(&books).with_context(|| books_path.display().to_string())?;
        let more = |ending: &str| -> Result<Option<Flows>> {
            let path = directory.join(format!("{name}.{ending}.csv"));
            if !path.exists() {
                return Ok(None);
            }
            let (text, path) = file(&format!("{ending}.csv"))?;
            rows(&text).map(Some).with_context(|| path.display().to_string())
        };
        let truth = Self {
            inner: more("inner")?,
            joined: more("joined")?,
            flows: rows(&five).with_context(|| five_path.display().to_string())?,
            vlan_flows: rows(&vlan).with_context(|| vlan_path.display().to_string())?,
            frames: number(&books, "frames")?,
            metered_packets: number(&books, "metered_packets")?,
            metered_octets: number(&books, "metered_octets")?,
            ignored: reasons(&books)?,
        };
        truth.consistent().with_context(|| books_path.display().to_string())?;
        Ok(truth)
    }

    /// The truth of several captures that are metered as one.
    pub fn joined<'a>(truths: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        truths.into_iter().cloned().reduce(|mut all, one| {
            all.flows.merge(&one.flows);
            all.vlan_flows.merge(&one.vlan_flows);
            all.frames += one.frames;
            (all.inner, all.joined) = (None, None);
            all.metered_packets += one.metered_packets;
            all.metered_octets += one.metered_octets;
            for (reason, packets) in one.ignored {
                *all.ignored.entry(reason).or_default() += packets;
            }
            all
        })
    }

    /// Truth files that contradict each other would make every verdict worthless.
    fn consistent(&self) -> Result<()> {
        let metered = (self.metered_packets, self.metered_octets);
        ensure!(self.flows.totals() == metered, "rows add up to {:?}, not {metered:?}", self.flows.totals());
        ensure!(self.vlan_flows.totals() == metered, "VLAN rows add up to {:?}", self.vlan_flows.totals());
        let ignored: u64 = self.ignored.values().sum();
        ensure!(self.frames == self.metered_packets + ignored, "frames are not metered + ignored");
        Ok(())
    }
}

fn number(books: &Value, name: &str) -> Result<u64> {
    books.get(name).and_then(Value::as_u64).with_context(|| format!("no number {name}"))
}

fn reasons(books: &Value) -> Result<BTreeMap<String, u64>> {
    let ignored = books.get("ignored").and_then(Value::as_object).context("no object \"ignored\"")?;
    ignored
        .iter()
        .map(|(reason, packets)| Ok((reason.clone(), packets.as_u64().with_context(|| reason.clone())?)))
        .collect()
}

fn rows(csv: &str) -> Result<Flows> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().context("no header line")?.split(',').collect();
    let mut flows = Flows::default();
    for (number, line) in lines.enumerate() {
        let cells = names.iter().copied().zip(line.split(',')).collect();
        let (key, sums) = row(&cells).with_context(|| format!("row {}: {line}", number + 1))?;
        flows.add(key, &sums);
    }
    Ok(flows)
}

fn row(cells: &BTreeMap<&str, &str>) -> Result<(Key, Sums)> {
    let tuple = Tuple {
        src: needed(cells, "src")?,
        dst: needed(cells, "dst")?,
        proto: needed(cells, "proto")?,
        sport: needed(cells, "sport")?,
        dport: needed(cells, "dport")?,
    };
    let key = Key { tuple, vlan: optional(cells, "vlan")?, tos: optional(cells, "tos")? };
    let flags = cells.get("tcp_flags").filter(|cell| !cell.is_empty());
    let flags = flags.map(|cell| u8::from_str_radix(cell.trim_start_matches("0x"), 16)).transpose()?;
    let sums = Sums {
        packets: needed(cells, "packets")?,
        octets: needed(cells, "octets")?,
        flags,
        first_ms: optional(cells, "first_ms")?,
        last_ms: optional(cells, "last_ms")?,
        min_ttl: optional(cells, "min_ttl")?,
        max_ttl: optional(cells, "max_ttl")?,
    };
    Ok((key, sums))
}

fn needed<T: FromStr>(cells: &BTreeMap<&str, &str>, name: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    optional(cells, name)?.with_context(|| format!("no {name}"))
}

fn optional<T: FromStr>(cells: &BTreeMap<&str, &str>, name: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let cell = cells.get(name).filter(|cell| !cell.is_empty());
    cell.map(|cell| cell.parse().with_context(|| format!("{name} {cell}"))).transpose()
}
