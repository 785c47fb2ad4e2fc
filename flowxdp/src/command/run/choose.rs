//! Which of the links that there are shall be metered: no packet twice by a pattern.

use super::wanted::Wanted;
use crate::kernel::link::Link;

/// What becomes of links that are asked for and not metered yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice<'a> {
    /// To be metered.
    pub(super) taken: Vec<&'a Link>,
    /// Asked for by a pattern alone, and packets of it are metered on the other one.
    pub(super) left_out: Vec<(&'a Link, &'a Link)>,
}

/// Whether a name, not a pattern alone, asks for the link.
pub(super) fn is_named(wanted: &[Wanted], link: &Link) -> bool {
    wanted.iter().any(|wanted| !wanted.is_pattern() && wanted.matches(&link.name))
}

/// Chooses among `all`; `is_metered` knows them by ifIndex.
///
/// A name is taken at its word. A pattern takes Ethernet interfaces, never the loopback, and of those that
/// carry the same packets the lowest, unless another one of them is metered already.
pub(super) fn choose<'a>(wanted: &[Wanted], all: &'a [Link], is_metered: impl Fn(u32) -> bool) -> Choice<'a> {
    let asked = |link: &Link| wanted.iter().any(|wanted| wanted.matches(&link.name));
    let open = all.iter().filter(|link| !is_metered(link.index) && asked(link));
    let (taken, by_pattern): (Vec<_>, Vec<_>) = open.partition(|link| is_named(wanted, link));
    let mut choice = Choice { taken, left_out: Vec::new() };
    let mut by_pattern: Vec<_> = by_pattern
        .into_iter()
        .filter(|link| link.is_ethernet && !link.is_loopback)
        .map(|link| (beneath(link, all), link))
        .collect();
    by_pattern.sort_by_key(|(beneath, _)| beneath.len());
    for (beneath, link) in by_pattern {
        let same = |other: &&&Link| {
            let other = **other;
            beneath.contains(&other) || self::beneath(other, all).contains(&link)
        };
        let metered = all.iter().filter(|link| is_metered(link.index)).collect::<Vec<_>>();
        match metered.iter().chain(&choice.taken).find(same) {
            Some(other) => choice.left_out.push((link, other)),
            None => choice.taken.push(link),
        }
    }
    choice
}

/// All links whose packets come in at this one once more.
fn beneath<'a>(link: &Link, all: &'a [Link]) -> Vec<&'a Link> {
    let mut found: Vec<&Link> = Vec::new();
    let mut next = 0;
    let mut upon = link;
    loop {
        let more: Vec<_> = all.iter().filter(|it| upon.is_upon(it) && !found.contains(it)).collect();
        found.extend(more);
        let Some(&deeper) = found.get(next) else { return found };
        (upon, next) = (deeper, next + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::link;

    /// A veth, or what stands upon a link, or in a bridge.
    fn link(index: u32, name: &str, below: u32, above: u32) -> Link {
        let some = |index: u32| Some(index).filter(|&index| index != 0);
        Link {
            is_loopback: name == "lo",
            is_ethernet: !["lo", "wg0"].contains(&name),
            below: some(below),
            above: some(above),
            ..link::tests::link(index, name)
        }
    }

    /// A bond of two, a VLAN on it, a bridge of that and a third, and what is no Ethernet.
    fn machine() -> Vec<Link> {
        vec![
            link(1, "lo", 0, 0),
            link(10, "bond0.100", 11, 12),
            link(11, "bond0", 0, 0),
            link(12, "br0", 0, 0),
            link(13, "eth0", 0, 11),
            link(14, "eth1", 0, 11),
            link(15, "eth2", 0, 12),
            link(16, "eth2.7", 15, 0),
            link(17, "wg0", 0, 0),
        ]
    }

    fn chosen(wanted: &[&str], metered: &[u32]) -> (Vec<String>, Vec<(String, String)>) {
        let (wanted, all): (Vec<_>, _) = (wanted.iter().map(|it| Wanted::new(it)).collect(), machine());
        let choice = choose(&wanted, &all, |index| metered.contains(&index));
        let name = |link: &Link| link.name.clone();
        let mut taken: Vec<_> = choice.taken.iter().map(|it| name(it)).collect();
        taken.sort();
        let mut left_out: Vec<_> = choice.left_out.iter().map(|(it, on)| (name(it), name(on))).collect();
        left_out.sort();
        (taken, left_out)
    }

    #[test]
    fn names_are_taken_at_their_word() {
        let (taken, left_out) = chosen(&["lo", "eth0", "bond0", "wg0", "none"], &[]);
        assert_eq!(taken, ["bond0", "eth0", "lo", "wg0"]);
        assert!(left_out.is_empty());
    }

    #[test]
    fn a_pattern_takes_the_lowest_of_those_that_carry_the_same_packets() {
        let (taken, left_out) = chosen(&["*"], &[]);
        assert_eq!(taken, ["eth0", "eth1", "eth2"]);
        let names: Vec<_> = left_out.iter().map(|(it, _)| it.as_str()).collect();
        assert_eq!(names, ["bond0", "bond0.100", "br0", "eth2.7"]);
        assert_eq!(left_out[3], ("eth2.7".to_owned(), "eth2".to_owned()));
        // What is below is not asked for.
        assert_eq!(chosen(&["bond0*"], &[]).0, ["bond0"]);
        assert_eq!(chosen(&["*.*"], &[]).0, ["bond0.100", "eth2.7"]);
    }

    #[test]
    fn a_pattern_leaves_out_what_is_metered_above_or_below() {
        // eth1 came to the bond later; eth2 is in the bridge, which does not get what is for its VLAN.
        assert_eq!(chosen(&["*"], &[11, 12, 13]).0, ["eth2.7"]);
        assert_eq!(chosen(&["br0", "eth?"], &[]).0, ["br0"]);
        assert_eq!(chosen(&["eth2.7", "eth*"], &[]).0, ["eth0", "eth1", "eth2.7"]);
        assert_eq!(chosen(&["eth*"], &[13, 14, 15]).1, [("eth2.7".to_owned(), "eth2".to_owned())]);
    }
}
