//! True facts of a capture's flows beyond the base record, as `NAME.facts.csv` beside it states them.
//!
//! A row has the key of `NAME.vlan.csv` and then elements by IANA's names, of the key's first packet. The files
//! were computed apart from the exporter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::flows::{Key, Tuple};

/// Values by element, as text.
pub type Facts = BTreeMap<String, String>;

/// Columns of the key.
const KEY: usize = 7;

/// The file of a capture, which need not be there.
///
/// # Errors
///
/// The path names no file in a directory.
pub fn path(capture: &Path) -> Result<PathBuf> {
    let name = capture.file_stem().context("a file without a name")?.to_string_lossy();
    let directory = capture.parent().context("a file without a directory")?;
    Ok(directory.join("truth").join(format!("{name}.facts.csv")))
}

/// Reads the file of a capture.
///
/// # Errors
///
/// It is not there, or not of this form.
pub fn read(capture: &Path) -> Result<BTreeMap<Key, Facts>> {
    let path = path(capture)?;
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().context("no columns")?;
    let names = head.get(KEY..).context("no facts")?;
    let row = |values: Vec<&str>| -> Result<(Key, Facts)> {
        ensure!(values.len() == head.len(), "{values:?}");
        let key = key(&values).with_context(|| format!("{values:?}"))?;
        let facts =
            names.iter().zip(&values[KEY..]).map(|(name, value)| (name.to_string(), value.to_string()));
        Ok((key, facts.collect()))
    };
    lines.map(row).collect()
}

fn key(values: &[&str]) -> Result<Key> {
    let [src, dst, proto, sport, dport, vlan, tos] = values.first_chunk().context("no key")?;
    let tuple = Tuple {
        src: src.parse()?,
        dst: dst.parse()?,
        proto: proto.parse()?,
        sport: sport.parse()?,
        dport: dport.parse()?,
    };
    Ok(Key { tuple, vlan: Some(vlan.parse()?), tos: Some(tos.parse()?) })
}

/// The same elements of a record that `flowxdp collect --json` printed.
///
/// # Errors
///
/// It lacks one.
pub fn of(json: &Value, names: &Facts) -> Result<Facts> {
    let value = |name: &String| {
        let value = json.get(name).with_context(|| format!("no {name}: {json}"))?;
        Ok((name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    names.keys().map(value).collect()
}
