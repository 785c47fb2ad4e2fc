//! The judges: programs and readers that know nothing of FlowXDP, and their readings of an export.
//!
//! No single one suffices. nfcapd counts options records wrongly and ignores lengths, tshark ignores lengths
//! too, nfacctd misses most gaps; the strict reader in [`wire`] knows the rules but no meaning of elements.
//! A judge that is not installed or cannot run is an error, never a skipped test.

pub mod collect;
pub mod names;
pub mod nfacctd;
pub mod nfcapd;
mod pdml;
pub mod sessions;
pub mod tshark;
pub mod wire;

use anyhow::{Result, bail};

use crate::flows::Record;

/// The records that a judge read, and its complaints.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The flow records in the order of their arrival.
    pub records: Vec<Record>,
    /// One line for each complaint.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Makes any finding an error.
    pub fn clean(self) -> Result<Vec<Record>> {
        if self.findings.is_empty() {
            return Ok(self.records);
        }
        bail!(listed(&self.findings))
    }
}

/// Findings as the text of an error; only the first twenty of many.
pub(crate) fn listed(findings: &[String]) -> String {
    let mut text = format!("{} findings", findings.len());
    for finding in findings.iter().take(20) {
        text.push_str("\n  ");
        text.push_str(finding);
    }
    text
}
