//! How many packets were seen and explained, by verdict; and the summary at the end.

use std::fmt;

use flowxdp_common::observation::METERED;

use super::filter::reasons;

/// Verdicts of every kind: metered, the parser's reasons, and the reasons of captures.
const KINDS: usize = 8;

/// Packets by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    by_verdict: [u64; KINDS],
    /// Lines that were printed.
    pub(super) lines: u64,
    /// Packets of the filter without a line, since there were too many in a second.
    pub(super) left_out: u64,
}

impl Tally {
    /// Adds packets of a verdict.
    pub(super) fn add(&mut self, verdict: u8, packets: u64) {
        if let Some(sum) = self.by_verdict.get_mut(usize::from(verdict)) {
            *sum += packets;
        }
    }

    fn of(&self, verdict: u8) -> u64 {
        self.by_verdict.get(usize::from(verdict)).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    /// One line: packets, metered, ignored with each reason that occurred, lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packets: u64 = self.by_verdict.iter().sum();
        let metered = self.of(METERED);
        let noun = if packets == 1 { "packet" } else { "packets" };
        write!(f, "{packets} {noun}: {metered} metered, {} ignored", packets - metered)?;
        let reasons = (1..).zip(reasons()).filter(|(verdict, _)| self.of(*verdict) > 0);
        let reasons: Vec<_> = reasons.map(|(verdict, name)| format!("{name} {}", self.of(verdict))).collect();
        if !reasons.is_empty() {
            write!(f, " ({})", reasons.join(", "))?;
        }
        write!(f, "; {} explained", self.lines)?;
        if self.left_out > 0 {
            write!(f, ", {} left out", self.left_out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place() {
        assert!(reasons().count() < KINDS);
    }

    #[test]
    fn the_summary_names_the_reasons_that_occurred() {
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "0 packets: 0 metered, 0 ignored; 0 explained");
        tally.add(METERED, 5);
        tally.add(2, 3);
        tally.add(3, 1);
        tally.lines = 2;
        tally.left_out = 2;
        assert_eq!(
            tally.to_string(),
            "9 packets: 5 metered, 4 ignored (truncated 3, malformed 1); 2 explained, 2 left out"
        );
    }
}
