//! Warnings about messages that cannot be read: a bounded number, as every host on the network may cause one.

/// Warnings of one period, and its length in nanoseconds.
const MOST: u32 = 8;
const PERIOD: u64 = 60_000_000_000;

/// Warnings so far in this period.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    begun: Option<u64>,
    made: u32,
}

impl Complaints {
    /// Logs one warning, unless this period had its share. `now` is monotonic, in nanoseconds.
    pub(super) fn warn(&mut self, now: u64, text: impl FnOnce() -> String) {
        if !self.allows(now) {
            return;
        }
        log::warn!("{}", text());
        if self.made == MOST {
            log::warn!("further malformed messages of this minute are counted and not logged");
        }
    }

    fn allows(&mut self, now: u64) -> bool {
        if self.begun.is_none_or(|begun| now.saturating_sub(begun) >= PERIOD) {
            *self = Self { begun: Some(now), made: 0 };
        }
        self.made = self.made.saturating_add(1);
        self.made <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_its_share_and_no_more() {
        let mut complaints = Complaints::default();
        let made = (0..1000).chain(PERIOD..PERIOD + 1000).filter(|now| complaints.allows(*now)).count();
        assert_eq!(made, 2 * MOST as usize);
    }
}
