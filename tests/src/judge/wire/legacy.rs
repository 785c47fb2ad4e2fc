//! The same strictness for the fixed layouts: NetFlow v1, v5 and v7.
//!
//! Sizes, counts, sequences and everything that must be zero; again no code of the encoder's.

use anyhow::{Result, bail, ensure};

use super::octets::Octets;
use crate::judge::listed;
use crate::pcap::Recording;

/// A layout: octets of header and record, the most records, and where a record is zero.
struct Layout {
    header: usize,
    record: usize,
    most: usize,
    zeros: &'static [std::ops::Range<usize>],
}

const fn layout(version: u16) -> Option<Layout> {
    Some(match version {
        // Next hop and output are not known to an agent that does not route.
        1 => Layout { header: 16, record: 48, most: 24, zeros: &[8..12, 14..16, 36..38, 41..48] },
        5 => Layout { header: 24, record: 48, most: 30, zeros: &[8..12, 14..16, 36..37, 40..48] },
        7 => Layout { header: 24, record: 52, most: 27, zeros: &[8..12, 14..16, 36..37, 40..52] },
        _ => return None,
    })
}

/// Reads the recording of one session; any finding is an error. Gives the number of records.
pub fn judge(recording: &Recording, version: u16) -> Result<u64> {
    let (mut findings, mut records, mut before) = (Vec::new(), 0, (0, 0, 0));
    for (number, datagram) in (1..).zip(&recording.datagrams) {
        match message(&datagram.payload, version, records, &mut before) {
            Ok(count) => records += count,
            Err(error) => findings.push(format!("message {number}: {error}")),
        }
    }
    ensure!(recording.fragments == 0, "{} fragments of IP packets", recording.fragments);
    ensure!(findings.is_empty(), "wire: {}", listed(&findings));
    Ok(records)
}

/// Uptime, seconds and nanoseconds: one instant in two forms.
type Instant = (u32, u32, u32);

fn message(payload: &[u8], version: u16, sent: u64, before: &mut Instant) -> Result<u64> {
    let mut octets = Octets::new(payload);
    let (Some(said), Some(count)) = (octets.short(), octets.short()) else { bail!("no header") };
    ensure!(said == version, "version {said}, not {version}");
    let Some(layout) = layout(version) else { bail!("version {version} has no fixed layout") };
    let count = usize::from(count);
    let length = layout.header + count * layout.record;
    ensure!(payload.len() == length, "{} octets, not {length} for {count} records", payload.len());
    ensure!((1..=layout.most).contains(&count), "{count} records");
    let (Some(uptime), Some(seconds), Some(nanoseconds)) = (octets.word(), octets.word(), octets.word())
    else {
        bail!("no times")
    };
    ensure!(nanoseconds < 1_000_000_000, "{nanoseconds} nanoseconds");
    ensure!((seconds, nanoseconds) >= (before.1, before.2), "export time goes back");
    if before.1 > 0 {
        // System start, milliseconds since 1970 modulo 2^32, is the same in every header.
        let start = |(uptime, seconds, nanoseconds): Instant| {
            seconds.wrapping_mul(1000).wrapping_add(nanoseconds / 1_000_000).wrapping_sub(uptime)
        };
        let same = start(*before) == start((uptime, seconds, nanoseconds));
        ensure!(same, "the system starts at another time than before");
    }
    *before = (uptime, seconds, nanoseconds);
    if version != 1 {
        let sequence = octets.word().map(u64::from);
        ensure!(sequence == Some(sent & 0xffff_ffff), "sequence {sequence:?}, expected {sent}");
        let tail = octets.word();
        // Engine type 0 and engine id 1, no sampling; reserved.
        let wanted = if version == 5 { 0x0001_0000 } else { 0 };
        ensure!(tail == Some(wanted), "the header ends with {tail:08x?}");
    }
    for record in octets.rest().chunks(layout.record) {
        for zero in layout.zeros {
            let field = record.get(zero.clone()).unwrap_or_default();
            ensure!(field.iter().all(|octet| *octet == 0), "octets {zero:?} of a record are {field:02x?}");
        }
    }
    Ok(count as u64)
}
