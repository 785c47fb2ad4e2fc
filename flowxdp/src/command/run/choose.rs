//! The choice among the machine's links: no packet is metered twice, and every device carries Ethernet or IP.

use super::wanted::Wanted;
use crate::kernel::link::Link;

/// The links to meter, and the links to leave out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice<'a> {
    /// Links to be metered from now on.
    pub(super) taken: Vec<&'a Link>,
    /// Links not to be metered; a metered one is to be released.
    pub(super) left_out: Vec<LeftOut<'a>>,
}

/// A link that `--interface` asks for and that is left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut<'a> {
    /// The link.
    pub(super) link: &'a Link,
    /// A name asks for the link, not a pattern alone.
    pub(super) is_named: bool,
    reason: Reason<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Reason<'a> {
    /// The device carries neither Ethernet frames nor IP packets.
    NoIp,
    /// The first of the two is above the second and repeats its packets; the other one is metered.
    Twice(&'a Link, &'a Link),
}

impl LeftOut<'_> {
    /// Whether the link could never be metered, whatever else is.
    pub(super) fn is_final(&self) -> bool {
        self.reason == Reason::NoIp
    }

    /// The reason and the remedy, in one line.
    pub(super) fn why(&self) -> String {
        let name = &self.link.name;
        match self.reason {
            Reason::NoIp => {
                let kind = self.link.kind.as_deref().map_or(String::new(), |kind| format!("{kind}, "));
                format!(
                    "{name}: a device ({kind}device type {}) that carries neither Ethernet frames nor IP packets is \
                     not metered: leave it out",
                    self.link.device_type
                )
            }
            Reason::Twice(upper, lower) => {
                let (upper, lower) = (&upper.name, &lower.name);
                let other = if name == upper { lower } else { upper };
                format!(
                    "{name}: each packet would count twice, on {lower} and on {upper} above it, and {other} is \
                     metered: leave {name} out, or name it instead of {other}"
                )
            }
        }
    }
}

/// Whether a name, not a pattern alone, asks for the link.
pub(super) fn is_named(wanted: &[Wanted], link: &Link) -> bool {
    wanted.iter().any(|wanted| !wanted.is_pattern() && wanted.stands_for(link))
}

/// Chooses among `all`; `is_metered` says of an ifIndex whether the link is metered now.
///
/// Of links that carry the same packets one is metered: a named one rather than one of a pattern, one that is
/// metered rather than one that is not, and the lowest of the rest. A pattern never takes the loopback.
pub(super) fn choose<'a>(wanted: &[Wanted], all: &'a [Link], is_metered: impl Fn(u32) -> bool) -> Choice<'a> {
    let asked = |link: &Link| wanted.iter().any(|wanted| wanted.stands_for(link));
    let mut open: Vec<_> = all
        .iter()
        .filter(|link| is_metered(link.index) || asked(link))
        .map(|link| Candidate {
            link,
            beneath: beneath(link, all),
            is_named: is_named(wanted, link),
            is_metered: is_metered(link.index),
        })
        .filter(|it| it.is_named || it.is_metered || !it.link.is_loopback)
        .collect();
    open.sort_by_key(|it| (!it.is_named, !it.is_metered, it.beneath.len()));
    let mut choice = Choice::default();
    let mut chosen: Vec<Candidate<'a>> = Vec::new();
    for candidate in open {
        let Candidate { link, is_named, is_metered, .. } = candidate;
        let reason = if link.has_ethernet_frames() || link.carries_ip() {
            chosen.iter().find_map(|other| candidate.twice(other))
        } else {
            Some(Reason::NoIp)
        };
        match reason {
            Some(reason) => choice.left_out.push(LeftOut { link, is_named, reason }),
            None => {
                choice.taken.extend(Some(link).filter(|_| !is_metered));
                chosen.push(candidate);
            }
        }
    }
    choice
}

/// A link that is asked for or metered.
struct Candidate<'a> {
    link: &'a Link,
    /// All links whose packets come in at this one once more.
    beneath: Vec<&'a Link>,
    is_named: bool,
    is_metered: bool,
}

impl<'a> Candidate<'a> {
    /// Whether packets would count here and on the other one.
    fn twice(&self, other: &Self) -> Option<Reason<'a>> {
        if self.beneath.contains(&other.link) {
            return Some(Reason::Twice(self.link, other.link));
        }
        other.beneath.contains(&self.link).then_some(Reason::Twice(other.link, self.link))
    }
}

fn beneath<'a>(link: &Link, all: &'a [Link]) -> Vec<&'a Link> {
    let mut found: Vec<&Link> = Vec::new();
    let mut next = 0;
    let mut upon = link;
    loop {
        let more: Vec<_> = all.iter().filter(|it| upon.repeats(it) && !found.contains(it)).collect();
        found.extend(more);
        let Some(&deeper) = found.get(next) else { return found };
        (upon, next) = (deeper, next + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::link;

    /// A veth, an upper device of a link, or a bridge port.
    fn link(index: u32, name: &str, below: u32, above: u32) -> Link {
        let some = |index: u32| Some(index).filter(|&index| index != 0);
        Link {
            alternatives: vec![format!("{name}-of-the-provider")],
            kind: Some("vcan").filter(|_| name == "can0").map(str::to_owned),
            is_loopback: name == "lo",
            device_type: match name {
                "lo" => 772,
                "can0" => 280,
                "wg0" => 65_534,
                _ => 1,
            },
            below: some(below),
            above: some(above),
            ..link::tests::link(index, name)
        }
    }

    /// A bond of two, a VLAN on it, a bridge of that and a third, and a device of neither Ethernet nor IP.
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
            link(17, "can0", 0, 0),
        ]
    }

    /// Names of the links taken, and of those left out with the words for it.
    fn chosen(wanted: &[&str], metered: &[u32]) -> (Vec<String>, Vec<(String, String)>) {
        let (wanted, all): (Vec<_>, _) = (wanted.iter().map(|it| Wanted::new(it)).collect(), machine());
        let choice = choose(&wanted, &all, |index| metered.contains(&index));
        let mut taken: Vec<_> = choice.taken.iter().map(|it| it.name.clone()).collect();
        taken.sort();
        let mut left_out: Vec<_> =
            choice.left_out.iter().map(|it| (it.link.name.clone(), it.why())).collect();
        left_out.sort();
        (taken, left_out)
    }

    fn names_left_out(wanted: &[&str], metered: &[u32]) -> Vec<String> {
        chosen(wanted, metered).1.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn names_are_taken_unless_a_packet_would_count_twice() {
        let (taken, left_out) = chosen(&["lo", "eth0", "eth2.7", "none"], &[]);
        assert_eq!(taken, ["eth0", "eth2.7", "lo"]);
        assert!(left_out.is_empty());
        for (two, lower, upper) in [
            (["br0", "eth2"], "eth2", "br0"),
            (["eth0", "bond0"], "eth0", "bond0"),
            (["eth2", "eth2.7"], "eth2", "eth2.7"),
            (["br0", "eth1"], "eth1", "br0"),
        ] {
            let (taken, left_out) = chosen(&two, &[]);
            assert_eq!(taken, [lower]);
            let [(name, why)] = &left_out[..] else { panic!("{left_out:?}") };
            assert_eq!(name, upper);
            assert!(why.contains(&format!("would count twice, on {lower} and on {upper}")), "{why}");
        }
    }

    #[test]
    fn alternative_names_are_names() {
        assert_eq!(chosen(&["eth0-of-the-provider", "*2-of-the-provider"], &[]).0, ["eth0", "eth2"]);
        // A name among them is one that is named, as before.
        assert_eq!(chosen(&["br0-of-the-provider", "eth2"], &[]).0, ["eth2"]);
        assert_eq!(chosen(&["br0-of-the-provider", "eth?"], &[]).0, ["br0"]);
    }

    #[test]
    fn a_device_of_neither_ethernet_nor_ip_is_refused_with_its_kind() {
        let (taken, left_out) = chosen(&["can0", "eth0"], &[]);
        assert_eq!(taken, ["eth0"]);
        let [(name, why)] = &left_out[..] else { panic!("{left_out:?}") };
        assert_eq!(name, "can0");
        assert!(why.contains("(vcan, device type 280)") && why.contains("leave it out"), "{why}");
        assert_eq!(names_left_out(&["c*"], &[]), ["can0"]);
        // The type of a device that is metered has changed.
        assert_eq!(names_left_out(&["c*"], &[17]), ["can0"]);
    }

    #[test]
    fn a_device_of_ip_packets_is_metered() {
        let all = [link(2, "eth0", 0, 0), link(3, "wg0", 0, 0)];
        assert_eq!(choose(&[Wanted::new("*")], &all, |_| false).taken.len(), 2);
    }

    #[test]
    fn a_pattern_takes_the_lowest_of_those_that_carry_the_same_packets() {
        let (taken, left_out) = chosen(&["*"], &[]);
        assert_eq!(taken, ["eth0", "eth1", "eth2"]);
        let names: Vec<_> = left_out.iter().map(|(it, _)| it.as_str()).collect();
        assert_eq!(names, ["bond0", "bond0.100", "br0", "can0", "eth2.7"]);
        assert!(left_out[4].1.contains("on eth2 and on eth2.7 above it"), "{}", left_out[4].1);
        // Lower devices are not asked for.
        assert_eq!(chosen(&["bond0*"], &[]).0, ["bond0"]);
        assert_eq!(chosen(&["*.*"], &[]).0, ["bond0.100", "eth2.7"]);
    }

    #[test]
    fn a_link_that_comes_is_left_out_where_its_packets_are_metered_already() {
        // The bridge does not get packets for a VLAN of its port.
        assert_eq!(chosen(&["*"], &[12]).0, ["eth2.7"]);
        assert_eq!(names_left_out(&["br0", "eth2"], &[12]), ["eth2"]);
        assert_eq!(chosen(&["br0", "eth?"], &[]).0, ["br0"]);
        assert_eq!(chosen(&["eth2.7", "eth*"], &[]).0, ["eth0", "eth1", "eth2.7"]);
        assert_eq!(names_left_out(&["eth*"], &[13, 14, 15]), ["eth2.7"]);
    }

    #[test]
    fn of_two_metered_links_that_come_together_the_lower_one_stays() {
        let (taken, left_out) = chosen(&["*"], &[11, 12, 13]);
        assert_eq!(taken, ["eth1", "eth2"]);
        let names: Vec<_> = left_out.iter().map(|(it, _)| it.as_str()).collect();
        assert_eq!(names, ["bond0", "bond0.100", "br0", "can0", "eth2.7"]);
        assert_eq!(names_left_out(&["br0", "eth2"], &[12, 15]), ["br0"]);
        // Unless the upper one alone is named, or the lower one has another name by now.
        assert_eq!(names_left_out(&["br0", "eth?"], &[12, 15]), ["eth0", "eth1", "eth2"]);
        assert_eq!(names_left_out(&["br0", "old"], &[12, 15]), ["eth2"]);
    }

    #[test]
    fn packets_that_are_encrypted_below_are_others() {
        let mut all = vec![link(2, "eth0", 0, 0), link(3, "macsec0", 2, 0)];
        all[1].kind = Some("macsec".to_owned());
        let wanted = [Wanted::new("*")];
        assert_eq!(choose(&wanted, &all, |_| false).taken.len(), 2);
        all[1].kind = Some("macvlan".to_owned());
        assert_eq!(choose(&wanted, &all, |_| false).taken.len(), 1);
    }
}
