//! The partitions' retired slots in turns: some of each, so that a flow's slots come soon after each other.

use super::Due;

/// Where [`super::Retirement::collect_in_turns`] is.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Slots before this in any partition have been handed out.
    pub start: usize,
    /// Slots between the start of the partition and this one.
    pub offset: usize,
}

/// The retiring slots of one partition.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The partition's first slot.
    pub(super) base: usize,
    pub(super) due: &'a [Due],
}

impl<'a> Run<'a> {
    /// The first offset.
    pub(super) fn next(&self) -> Option<usize> {
        Some(self.due.first()?.index() - self.base)
    }

    /// Slots before an offset, and the others.
    pub(super) fn before(&self, offset: usize) -> (&'a [Due], &'a [Due]) {
        let count = self.due.iter().take_while(|due| due.index() - self.base < offset).count();
        self.due.split_at_checked(count).unwrap_or_default()
    }
}

/// Cuts a list in the order of the slots into partitions, without partitions in which no slot retires.
pub(super) fn runs(mut due: &[Due], partition: usize) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    while let Some(first) = due.first() {
        let base = first.index() - first.index() % partition.max(1);
        let run = Run { base, due };
        let (now, later) = run.before(partition.max(1));
        runs.push(Run { base, due: now });
        due = later;
    }
    runs
}
