//! Rows of the counters: one for each interface by its name, kept when the interface is gone.
//!
//! A name that comes back has its row again, whatever its ifIndex. Only when every row has a name, the one
//! that has been without an interface for longest is given to a new name; its counts until then belong to no
//! name any more.

use flowxdp_common::counter::ROWS;

use crate::kernel::counters::Row;

/// The row of interfaces that have no name here.
pub(super) const UNNAMED: u32 = 0;

#[derive(Debug)]
struct Owner {
    name: String,
    /// ifIndex of the interface, unless it is gone.
    index: Option<u32>,
    /// When it went, nanoseconds.
    gone_at: u64,
    /// Counts of earlier owners in this row.
    before: Row,
}

/// Owners of the rows, from the first behind [`UNNAMED`] on.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<Owner>);

fn number(place: usize) -> u32 {
    u32::try_from(place + 1).unwrap_or(UNNAMED)
}

impl Rows {
    /// The rows of an earlier agent, in order, by their names and the counts of earlier owners; the name is
    /// empty where a row was never assigned.
    pub(super) fn recover(mut owners: Vec<(String, Row)>, now: u64) -> Self {
        while owners.last().is_some_and(|(name, _)| name.is_empty()) {
            owners.pop();
        }
        let owner = |(name, before)| Owner { name, index: None, gone_at: now, before };
        Self(owners.into_iter().map(owner).collect())
    }

    /// A row's owner, and the counts of earlier owners.
    pub(super) fn owner(&self, row: u32) -> Option<(&str, Row)> {
        let owner = self.0.get((row as usize).checked_sub(1)?)?;
        Some((&owner.name, owner.before))
    }

    /// Gives an interface its row, if one is left: the one that an earlier agent has `given` it, or that of
    /// its name. `rest` nanoseconds after an interface went, its row may be another's. `counted` reads a row.
    pub(super) fn take(
        &mut self,
        index: u32,
        name: &str,
        given: Option<u32>,
        now: u64,
        rest: u64,
        counted: impl Fn(u32) -> Row,
    ) -> Option<u32> {
        let gone = |owner: &Owner| owner.index.is_none();
        if let Some(row) = given
            && let Some(owner) = self.0.get_mut((row as usize).wrapping_sub(1)).filter(|owner| gone(owner))
        {
            (owner.name, owner.index) = (name.to_owned(), Some(index));
            return Some(row);
        }
        if let Some(place) = self.0.iter().position(|owner| gone(owner) && owner.name == name) {
            self.0[place].index = Some(index);
            return Some(number(place));
        }
        let owner = |before| Owner { name: name.to_owned(), index: Some(index), gone_at: 0, before };
        if self.0.len() + 1 < ROWS as usize {
            self.0.push(owner(Row::default()));
            return Some(number(self.0.len() - 1));
        }
        let rested = |owner: &Owner| gone(owner) && now.saturating_sub(owner.gone_at) >= rest;
        let places = self.0.iter().enumerate().filter(|(_, owner)| rested(owner));
        let (place, _) = places.min_by_key(|(_, owner)| owner.gone_at)?;
        self.0[place] = owner(counted(number(place)));
        Some(number(place))
    }

    /// The interface is gone.
    pub(super) fn leave(&mut self, index: u32, now: u64) {
        if let Some(owner) = self.0.iter_mut().find(|owner| owner.index == Some(index)) {
            (owner.index, owner.gone_at) = (None, now);
        }
    }

    /// The interface has another name, which takes its counts along. Gives its row.
    pub(super) fn rename(&mut self, index: u32, name: &str) -> Option<u32> {
        let place = self.0.iter().position(|owner| owner.index == Some(index))?;
        name.clone_into(&mut self.0[place].name);
        Some(number(place))
    }

    /// Every row that counts.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        (UNNAMED..).take(self.0.len() + 1)
    }

    /// Counts under each name, and under none. A name that is gone and never counted is left out.
    pub(super) fn by_name(&self, counted: impl Fn(u32) -> Row) -> (Row, Vec<(&str, Row)>) {
        let mut unnamed = counted(UNNAMED);
        let mut named = Vec::new();
        for (place, owner) in self.0.iter().enumerate() {
            unnamed += owner.before;
            let its = counted(number(place)) - owner.before;
            if owner.index.is_some() || its != Row::default() {
                named.push((owner.name.as_str(), its));
            }
        }
        (unnamed, named)
    }
}

#[cfg(test)]
mod tests {
    use flowxdp_core::record::Total;

    use super::{ROWS, Row, Rows};

    const REST: u64 = 100;

    fn seen(packets: u64) -> Row {
        Row { seen: Total { packets, octets: packets * 60 }, ..Row::default() }
    }

    fn seen_of(row: u32) -> Row {
        seen(u64::from(row) * 10)
    }

    fn take(rows: &mut Rows, index: u32, name: &str, now: u64) -> Option<u32> {
        rows.take(index, name, None, now, REST, |row| seen(u64::from(row) * 10))
    }

    #[test]
    fn a_name_that_comes_back_has_its_row_again() {
        let mut rows = Rows::default();
        assert_eq!(take(&mut rows, 7, "eth0", 0), Some(1));
        assert_eq!(take(&mut rows, 8, "eth1", 0), Some(2));
        rows.leave(7, 1);
        assert_eq!(take(&mut rows, 9, "eth0", 2), Some(1));
        // Two interfaces have had one name: the first was renamed, and another took its name meanwhile.
        assert_eq!(take(&mut rows, 10, "eth0", 2), Some(3));
        assert_eq!(rows.numbers().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn an_earlier_agents_rows_go_on_by_ifindex_or_by_name() {
        let owners = ["eth0", "eth1", "eth2", ""].map(|name| (name.to_owned(), Row::default()));
        let mut rows = Rows::recover(owners.to_vec(), 0);
        // The interface was renamed while no agent ran.
        assert_eq!(rows.take(7, "wan0", Some(2), 1, REST, seen_of), Some(2));
        assert_eq!(rows.take(9, "eth2", None, 1, REST, seen_of), Some(3));
        assert_eq!(rows.take(10, "eth1", None, 1, REST, seen_of), Some(4));
        // Given away already.
        assert_eq!(rows.take(11, "eth5", Some(2), 1, REST, seen_of), Some(5));
        let (_, named) = rows.by_name(seen_of);
        let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["eth0", "wan0", "eth2", "eth1", "eth5"]);
    }

    #[test]
    fn an_earlier_agents_rows_keep_what_others_had_counted_in_them() {
        let mut rows = Rows::default();
        for index in 1..ROWS {
            assert_eq!(take(&mut rows, index, &format!("veth{index}"), 0), Some(index));
        }
        rows.leave(3, 10);
        assert_eq!(take(&mut rows, 1000, "late", 10 + REST), Some(3));
        let counted = |row: u32| seen(u64::from(row) * 10 + u64::from(row == 3) * 4);
        let owners = (1..ROWS).map(|row| rows.owner(row).map(|(name, before)| (name.to_owned(), before)));
        let mut next = Rows::recover(owners.collect::<Option<_>>().unwrap(), 200);
        assert_eq!(next.take(1000, "late", Some(3), 200, REST, counted), Some(3));
        let (unnamed, named) = next.by_name(counted);
        let of = |name: &str| named.iter().find(|(other, _)| *other == name).unwrap().1.seen.packets;
        assert_eq!((of("late"), of("veth4"), unnamed.seen.packets), (4, 40, 30));
        assert_eq!(rows.owner(0), None);
        assert_eq!(rows.owner(ROWS), None);
    }

    #[test]
    fn a_row_goes_with_its_interface_when_that_is_renamed() {
        let mut rows = Rows::default();
        take(&mut rows, 7, "eth0", 0);
        rows.rename(7, "wan0");
        let (_, named) = rows.by_name(|_| seen(5));
        assert_eq!(
            named.iter().map(|(name, row)| (*name, row.seen.packets)).collect::<Vec<_>>(),
            [("wan0", 5)]
        );
        rows.leave(7, 1);
        assert_eq!(take(&mut rows, 8, "wan0", 2), Some(1));
    }

    #[test]
    fn rows_of_those_that_are_gone_are_given_away_last_and_nothing_is_counted_twice() {
        let mut rows = Rows::default();
        for index in 1..ROWS {
            assert_eq!(take(&mut rows, index, &format!("veth{index}"), 0), Some(index));
        }
        assert_eq!(take(&mut rows, 1000, "late", 0), None);
        rows.leave(5, 20);
        rows.leave(3, 10);
        // Flows of them may still be in the table.
        assert_eq!(take(&mut rows, 1000, "late", 10 + REST - 1), None);
        assert_eq!(take(&mut rows, 1000, "late", 10 + REST), Some(3));
        assert_eq!(take(&mut rows, 1001, "later", 10 + REST), None);
        // Its own name finds its row taken, and the other's is there.
        assert_eq!(take(&mut rows, 1002, "veth3", 20 + REST), Some(5));
        let counted = |row: u32| seen(u64::from(row) * 10 + u64::from(row == 3) * 4);
        let (unnamed, named) = rows.by_name(counted);
        let of = |name: &str| named.iter().find(|(other, _)| *other == name).unwrap().1.seen.packets;
        assert_eq!((of("late"), of("veth3"), of("veth4"), unnamed.seen.packets), (4, 0, 40, 30 + 50));
        let mut sum = unnamed.seen;
        named.iter().for_each(|(_, row)| sum += row.seen);
        let mut all = Total::default();
        rows.numbers().for_each(|row| all += counted(row).seen);
        assert_eq!(sum, all);
    }
}
