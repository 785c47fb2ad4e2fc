//! Collectors of an agent that are others than those of the agent before it: records of before are in their books.

use super::{Exporter, books::Outcome};
use crate::exporting::deliveries::SharedLedger;

/// Begins the books of collectors that have no page among `earlier`, the pages that an earlier agent left, behind the
/// records that were retired until now. Retired slots are exported to them all the same, so those are not of before.
///
/// Each record goes to every collector: any page has the same sum.
pub(super) fn begin(exporters: &mut [Exporter], ledger: &SharedLedger, earlier: &[usize]) {
    let comes = |exporter: &Exporter| exporter.page().is_some_and(|page| !earlier.contains(&page));
    let Some(&reference) = earlier.first().filter(|_| exporters.iter().any(comes)) else { return };
    let stays = exporters.iter().find(|exporter| exporter.page() == Some(reference));
    let owed = stays.map_or_else(|| Outcome::left(ledger, reference), Exporter::outcome_with_spool);
    let owed = owed.without(ledger.borrow_mut().delivered(reference));
    for exporter in exporters.iter_mut().filter(|exporter| comes(exporter)) {
        exporter.follow(&Outcome::default(), &owed);
    }
}

/// The first collector takes over the books of those that are gone, where each record goes to one collector: the books
/// are sums then.
pub(super) fn take_over(exporters: &mut [Exporter], ledger: &SharedLedger, earlier: &[usize]) {
    let stays = |page: usize| exporters.iter().any(|exporter| exporter.page() == Some(page));
    let gone: Vec<usize> = earlier.iter().copied().filter(|page| !stays(*page)).collect();
    let Some(first) = exporters.first_mut() else { return };
    for page in gone {
        let outcome = Outcome::left(ledger, page).without(ledger.borrow_mut().delivered(page));
        first.follow(&Outcome::default(), &outcome);
    }
}
