//! Taps: interfaces that receive copies, are promiscuous, and whose packets no stack gets.
//!
//! An interface that the machine itself uses is no tap: the program would cut it off. One that is put to use while it
//! is a tap stays one, since metering was asked for and packets would be lost to both, and the log says so loudly.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::{Context, bail, ensure};

use super::super::wanted::Wanted;
use crate::kernel::{address, link::Link, promiscuous::Promiscuous};

/// Kinds of interfaces that join others, and are no use of their own.
const JOINING: [&str; 2] = ["bond", "team"];

/// The taps of an agent.
#[derive(Debug)]
pub(in super::super) struct Tap {
    promiscuous: Promiscuous,
    joined: BTreeSet<u32>,
    /// By ifIndex: the use of a tap that came while it is one.
    in_use: BTreeMap<u32, String>,
}

impl Tap {
    /// Opens the socket of the memberships, before the confinement.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing.
    pub(super) fn open() -> anyhow::Result<Self> {
        Ok(Self { promiscuous: Promiscuous::open()?, joined: BTreeSet::new(), in_use: BTreeMap::new() })
    }

    /// Makes an interface promiscuous whose program is attached.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub(super) fn join(&mut self, link: &Link) -> anyhow::Result<()> {
        // A second membership of one socket would only be counted.
        if !self.joined.contains(&link.index) {
            let joined = self.promiscuous.join(link.index);
            joined.with_context(|| format!("{}: cannot be made promiscuous", link.name))?;
            self.joined.insert(link.index);
        }
        Ok(())
    }

    /// Takes the membership of an interface back; the kernel did where the interface is gone.
    pub(super) fn leave(&mut self, index: u32) {
        self.in_use.remove(&index);
        if self.joined.remove(&index)
            && let Err(error) = self.promiscuous.leave(index)
        {
            log::debug!("interface {index}: its membership ended before: {error}");
        }
    }

    /// Logs each use of a tap that came or went.
    pub(super) fn watch<'a>(
        &mut self,
        links: impl Iterator<Item = &'a Link>,
        all: &[Link],
        wanted: &[Wanted],
    ) -> anyhow::Result<()> {
        let addresses = address::addresses()?;
        for link in links {
            match (use_of(link, all, &addresses, wanted)?, self.in_use.get(&link.index)) {
                (Some(why), before) if before != Some(&why) => {
                    log::error!("{}", in_use(link, &why));
                    self.in_use.insert(link.index, why);
                }
                (None, Some(_)) => {
                    log::info!("{}: is a tap and nothing else again", link.name);
                    self.in_use.remove(&link.index);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The use of a tap that came while it is one.
    pub(super) fn in_use(&self, index: u32) -> Option<&str> {
        self.in_use.get(&index).map(String::as_str)
    }
}

/// The warning of a tap that is put to use.
fn in_use(link: &Link, why: &str) -> String {
    format!("{}: is a tap, whose packets are dropped behind the meter, and {why}", link.name)
}

/// Refuses an interface that is in use.
///
/// # Errors
///
/// One line that names the use and the remedy; or netlink's.
pub(super) fn refuse_used(link: &Link, all: &[Link], wanted: &[Wanted]) -> anyhow::Result<()> {
    ensure!(
        link.has_ethernet_frames(),
        "{}: cannot be a tap, as a device without Ethernet frames is metered by a classifier, which drops nothing: \
         leave --tap out",
        link.name
    );
    match use_of(link, all, &address::addresses()?, wanted)? {
        Some(why) => bail!("{}: cannot be a tap, as a tap's packets reach no stack, and {why}", link.name),
        None => Ok(()),
    }
}

/// The use that the machine makes of an interface, and the remedy.
fn use_of(
    link: &Link,
    all: &[Link],
    addresses: &[(u32, IpAddr)],
    wanted: &[Wanted],
) -> anyhow::Result<Option<String>> {
    let is_tap = |port: &Link| wanted.iter().any(|wanted| wanted.stands_for(port));
    let receivers = match receivers(link, all, is_tap) {
        Ok(receivers) => receivers,
        Err(why) => return Ok(Some(why)),
    };
    for receiver in receivers {
        let name = &receiver.name;
        let own =
            addresses.iter().find(|(index, own)| *index == receiver.index && !address::is_link_local(*own));
        if let Some((_, own)) = own {
            return Ok(Some(format!(
                "{name} has the address {own}: remove it (`ip address flush dev {name}`), or leave --tap out"
            )));
        }
        let routes = match address::routes(receiver.index) {
            Ok(routes) => routes,
            // The interface went meanwhile.
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        if let Some(route) = routes.into_iter().find(|route| !route.is_link_local()) {
            return Ok(Some(format!(
                "a route to {route} leaves by {name}: remove it (`ip route del {route} dev {name}`), or leave --tap out"
            )));
        }
    }
    Ok(None)
}

fn is_gone(error: &anyhow::Error) -> bool {
    let errno = error.root_cause().downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    errno == Some(libc::ENODEV)
}

/// The interfaces whose stack would get the packets: this one, and bonds and teams above all of whose ports are taps.
///
/// Fails with the use and the remedy where another interface stands above.
fn receivers<'a>(
    link: &'a Link,
    all: &'a [Link],
    is_tap: impl Fn(&Link) -> bool,
) -> Result<Vec<&'a Link>, String> {
    let mut receivers: Vec<&Link> = vec![link];
    let mut next = 0;
    while let Some(&lower) = receivers.get(next) {
        next += 1;
        for upper in all.iter().filter(|upper| upper.is_upon(lower)) {
            joined(lower, upper, all, &is_tap)?;
            if !receivers.contains(&upper) {
                receivers.push(upper);
            }
        }
    }
    Ok(receivers)
}

/// Fails unless `upper` joins taps, and taps alone.
fn joined(lower: &Link, upper: &Link, all: &[Link], is_tap: impl Fn(&Link) -> bool) -> Result<(), String> {
    let kind = upper.kind.as_deref().unwrap_or("interface");
    let (lower, above) = (&lower.name, &upper.name);
    if lower_is_beneath(upper) {
        return Err(format!(
            "the {kind} {above} stands upon {lower}: remove it (`ip link del {above}`), or leave --tap out"
        ));
    }
    if !JOINING.contains(&kind) {
        return Err(format!(
            "{lower} is in the {kind} {above}: take it out (`ip link set {lower} nomaster`), or leave --tap out"
        ));
    }
    let is_port = |port: &&Link| port.above == Some(upper.index);
    match all.iter().filter(is_port).find(|port| !is_tap(port)) {
        Some(other) => Err(format!(
            "{lower} is in the {kind} {above}, whose port {0} is no tap: name {0} too, or take {lower} out (`ip link \
             set {lower} nomaster`)",
            other.name
        )),
        None => Ok(()),
    }
}

/// Whether an interface stands upon one other, as a VLAN does, and not above its ports.
const fn lower_is_beneath(upper: &Link) -> bool {
    upper.below.is_some()
}

#[cfg(test)]
mod tests {
    use super::{receivers, use_of};
    use crate::{
        command::run::wanted::Wanted,
        kernel::link::{Link, tests::link},
    };

    fn port(index: u32, name: &str, above: u32) -> Link {
        Link { above: Some(above), ..link(index, name) }
    }

    fn kind(index: u32, name: &str, kind: &str) -> Link {
        Link { kind: Some(kind.to_owned()), ..link(index, name) }
    }

    fn result(all: &[Link], taps: &[&str]) -> Result<Vec<String>, String> {
        let is_tap = |link: &Link| taps.contains(&link.name.as_str());
        Ok(receivers(&all[0], all, is_tap)?.iter().map(|link| link.name.clone()).collect())
    }

    #[test]
    fn a_port_of_a_bond_is_a_tap_with_all_others() {
        let bond = [port(1, "eth1", 9), port(2, "eth2", 9), kind(9, "bond0", "bond"), link(3, "eth3")];
        assert_eq!(result(&bond, &["eth1", "eth2"]).unwrap(), ["eth1", "bond0"]);
        let why = result(&bond, &["eth1"]).unwrap_err();
        assert!(why.contains("the bond bond0, whose port eth2 is no tap: name eth2 too"), "{why}");
        let team = [port(1, "eth1", 9), kind(9, "team0", "team")];
        assert_eq!(result(&team, &["eth1"]).unwrap(), ["eth1", "team0"]);
        // The bond itself is not free of use.
        let mut deep = bond.to_vec();
        deep[2].above = Some(10);
        deep.push(kind(10, "br0", "bridge"));
        let why = result(&deep, &["eth1", "eth2"]).unwrap_err();
        assert!(why.contains("bond0 is in the bridge br0") && why.contains("nomaster"), "{why}");
    }

    #[test]
    fn an_interface_with_another_above_is_no_tap() {
        for (master, word) in
            [("bridge", "in the bridge up0"), ("openvswitch", "in the openvswitch up0"), ("vrf", "vrf")]
        {
            let why = result(&[port(1, "eth1", 9), kind(9, "up0", master)], &["eth1"]).unwrap_err();
            assert!(why.contains(word) && why.contains("`ip link set eth1 nomaster`"), "{why}");
        }
        for upper in ["vlan", "macvlan", "ipvlan"] {
            let above = Link { below: Some(1), ..kind(9, "up0", upper) };
            let why = result(&[link(1, "eth1"), above], &["eth1"]).unwrap_err();
            assert!(why.contains(&format!("the {upper} up0 stands upon eth1")), "{why}");
        }
        assert_eq!(result(&[link(1, "eth1"), link(2, "eth2")], &["eth1"]).unwrap(), ["eth1"]);
    }

    #[test]
    fn an_address_that_the_kernel_did_not_make_is_named() {
        // An ifIndex that no interface has: its routes are none.
        let all = [link(0x7fff_ffff, "eth1")];
        let used = |address: &str| {
            use_of(&all[0], &all, &[(0x7fff_ffff, address.parse().unwrap())], &[Wanted::new("eth1")]).unwrap()
        };
        assert_eq!(used("fe80::1"), None);
        for address in ["192.0.2.1", "169.254.1.1", "2001:db8::1"] {
            let why = used(address).unwrap();
            assert!(why.contains(address) && why.contains("`ip address flush dev eth1`"), "{why}");
        }
    }
}
