//! Data sets: whole records, and padding that is zero, short and only where it may be.

use anyhow::{Result, bail, ensure};

use super::Protocol;
use super::octets::Octets;
use super::template::{Template, VARIABLE};

/// The number of records in a data set.
pub(super) fn read(protocol: Protocol, template: &Template, body: &[u8]) -> Result<u64> {
    ensure!(!body.is_empty(), "the set is empty");
    let shortest = template.shortest();
    let mut octets = Octets::new(body);
    let mut records = 0;
    while octets.len() >= shortest {
        if record(template, &mut octets).is_none() {
            bail!("record {} passes the end of the set", records + 1);
        }
        records += 1;
    }
    let padding = octets.rest();
    ensure!(
        padding.iter().all(|octet| *octet == 0),
        "{} octets after {records} records are no padding: {padding:02x?}",
        padding.len()
    );
    ensure!(records > 0, "a set without a record");
    let allowed = if protocol == Protocol::V9 { 3 } else { 0 };
    ensure!(padding.len() <= allowed, "{} octets of padding", padding.len());
    Ok(records)
}

fn record(template: &Template, octets: &mut Octets<'_>) -> Option<()> {
    for (_, _, length) in &template.fields {
        let length = match *length {
            VARIABLE => match octets.take(1)? {
                // One octet, or this mark and two.
                [255] => usize::from(octets.short()?),
                short => usize::from(*short.first()?),
            },
            fixed => usize::from(fixed),
        };
        octets.take(length)?;
    }
    Some(())
}
