//! Packets of a capture that the XDP program is not given: seen and ignored, by reason and interface.

use std::collections::BTreeMap;

use flowxdp_common::reason::{NOT_REPLAYED, NotReplayed};
use flowxdp_core::{books::Books, record::Total};

/// The packets, by interface, in the order of [`NOT_REPLAYED`].
#[derive(Debug, Default)]
pub(super) struct Unmetered(BTreeMap<String, [Total; NOT_REPLAYED.len()]>);

impl Unmetered {
    /// One packet more, `octets` long on the wire.
    pub(super) fn add(&mut self, reason: NotReplayed, interface: &str, octets: u32) {
        let one = Total { packets: 1, octets: octets.into() };
        if let Some(totals) = self.0.get_mut(interface) {
            totals[reason as usize] += one;
            return;
        }
        let mut totals = <[Total; NOT_REPLAYED.len()]>::default();
        totals[reason as usize] = one;
        self.0.insert(interface.to_owned(), totals);
    }

    /// All of them.
    pub(super) fn total(&self) -> Total {
        let mut sum = Total::default();
        self.0.values().flatten().for_each(|total| sum += *total);
        sum
    }

    /// Enters them into the books, but for "seen" at the top, which is read twice; a reason without packets
    /// stands there too.
    pub(super) fn enter(&self, books: &mut Books) {
        for reason in NOT_REPLAYED {
            books.ignored.entry(reason.name.to_owned()).or_default();
        }
        for (name, totals) in &self.0 {
            let part = books.interfaces.entry(name.clone()).or_default();
            for (reason, total) in NOT_REPLAYED.iter().zip(totals) {
                part.seen += *total;
                part.ignored += *total;
                *part.ignored_by_reason.entry(reason.name.to_owned()).or_default() += *total;
                *books.ignored.entry(reason.name.to_owned()).or_default() += *total;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Books, NotReplayed, Total, Unmetered};

    #[test]
    fn both_reasons_stand_in_the_books_and_under_their_interface() {
        let mut unmetered = Unmetered::default();
        let mut books = Books::default();
        unmetered.enter(&mut books);
        assert_eq!(books.ignored.len(), 2);
        assert!(books.interfaces.is_empty());
        unmetered.add(NotReplayed::UnsupportedLink, "1", 60);
        unmetered.add(NotReplayed::UnsupportedLink, "1", 40);
        unmetered.add(NotReplayed::TimeOutOfRange, "1", 7);
        unmetered.enter(&mut books);
        assert_eq!(books.ignored["unsupported_link"], Total { packets: 2, octets: 100 });
        assert_eq!(books.ignored["time_out_of_range"], Total { packets: 1, octets: 7 });
        let all = Total { packets: 3, octets: 107 };
        assert_eq!((books.interfaces["1"].seen, books.interfaces["1"].ignored), (all, all));
        assert_eq!(unmetered.total(), all);
    }
}
