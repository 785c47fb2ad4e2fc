//! Offloads that change packets before XDP sees them: VLAN tags are taken off, segments are joined.

use super::{
    attach::Attached,
    features::Features,
    link::{self, Link, Peer},
};

/// Octets that GRO joins to one packet unless BIG TCP is allowed (`GRO_LEGACY_MAX_SIZE`). They fit into the 17
/// pages that a packet has behind its first buffer (`MAX_SKB_FRAGS`).
const NOT_BIG: u32 = 65_536;

/// An offload of VLAN tags: the kernel's names for 802.1Q and 802.1ad, each with ethtool's word for it.
type Offload = [(&'static str, &'static str); 2];

/// A NIC takes the tag off received packets.
const RECEIVED: Offload =
    [("rx-vlan-hw-parse", "rxvlan"), ("rx-vlan-stag-hw-parse", "rx-vlan-stag-hw-parse")];
/// A sender leaves it to its NIC to put the tag in; a veth hands it over beside the packet.
const SENT: Offload = [("tx-vlan-hw-insert", "txvlan"), ("tx-vlan-stag-hw-insert", "tx-vlan-stag-hw-insert")];

/// Names the loss in packets of a metered link before the program sees them, with the remedy. `all` are the
/// links of this network namespace.
pub fn warn(link: &Link, attached: Attached, all: &[Link]) {
    warn_of_tags(link, attached, all);
    if attached == Attached::Generic && link.gro_max > NOT_BIG {
        log::warn!(
            "{0}: takes packets of up to {1} octets (gro_max_size), and in generic mode the kernel copies those \
             above 17 pages into one buffer, and drops them where memory is short: `ip link set dev {0} \
             gro_max_size 65536 gro_ipv4_max_size 65536`, and gso_max_size and gso_ipv4_max_size at the other \
             end of a veth",
            link.name,
            link.gro_max
        );
    }
}

fn warn_of_tags(link: &Link, attached: Attached, all: &[Link]) {
    match (link.kind.as_deref(), link.peer) {
        (None, _) if !link.is_loopback => {
            if let Some(warning) = features(link).and_then(|features| of_nic(link, link, &features)) {
                log::warn!("{warning}");
            }
        }
        (_, Some(Peer::Here(index))) => {
            let Some(peer) = all.iter().find(|other| other.index == index) else { return };
            if let Some(warning) = features(peer).and_then(|features| of_peer(link, peer, &features)) {
                log::warn!("{warning}");
            }
        }
        (_, Some(Peer::Elsewhere { index, namespace })) => {
            let name = link::name_elsewhere(namespace, index).ok();
            // Not a warning: nothing is known of it, and each new container would bring one.
            log::info!("{}", of_peer_elsewhere(link, name.as_deref()));
        }
        // The program of a bond in native mode runs in the drivers of its ports.
        (Some("bond"), _) if attached == Attached::Native => {
            for port in all.iter().filter(|port| port.above == Some(link.index) && port.kind.is_none()) {
                if let Some(warning) = features(port).and_then(|features| of_nic(link, port, &features)) {
                    log::warn!("{warning}");
                }
            }
        }
        _ => {}
    }
}

/// The features of a link; a kernel that does not say them is asked in vain each time.
fn features(link: &Link) -> Option<Features> {
    let features = Features::of(link.index);
    features.inspect_err(|error| log::debug!("{}: cannot read its features: {error}", link.name)).ok()
}

/// The warning about a NIC that brings `link` its packets.
fn of_nic(link: &Link, nic: &Link, features: &Features) -> Option<String> {
    let name = &link.name;
    let who = if link.index == nic.index { "the NIC" } else { &nic.name };
    let command = match command(&nic.name, RECEIVED, features)? {
        Some(command) => format!("`{command}` keeps them"),
        None => "its driver does not let that be switched off, and the flows have none".to_owned(),
    };
    Some(format!("{name}: {who} takes VLAN tags off before packets are metered: {command}"))
}

/// The warning about the other end of `link`.
fn of_peer(link: &Link, peer: &Link, features: &Features) -> Option<String> {
    let command = match command(&peer.name, SENT, features)? {
        Some(command) => format!("`{command}` puts them into it"),
        None => "its driver does not let that be switched off, and the flows have none".to_owned(),
    };
    Some(format!(
        "{}: {}, the other end, hands VLAN tags over beside the packet, where XDP does not see them: {command}",
        link.name, peer.name
    ))
}

/// The same where nothing but its name can be known of the other end.
fn of_peer_elsewhere(link: &Link, peer: Option<&str>) -> String {
    let (who, which) = peer.map_or((String::new(), "IF"), |peer| (format!("{peer}, "), peer));
    format!(
        "{}: {who}the other end in another network namespace, hands VLAN tags over beside the packet, where XDP \
         does not see them, unless `ethtool -K {which} txvlan off` was run there",
        link.name
    )
}

/// The command that switches an offload of 802.1Q tags off, and with it that of 802.1ad; `None` where it is
/// fixed. No answer where it is off already.
fn command(interface: &str, offload: Offload, features: &Features) -> Option<Option<String>> {
    let [(dot1q, _), _] = offload;
    if !features.is_on(dot1q) {
        return None;
    }
    let words = offload.into_iter().filter(|(name, _)| features.is_on(name) && features.is_switchable(name));
    let words: String = words.map(|(_, word)| format!(" {word} off")).collect();
    Some(features.is_switchable(dot1q).then(|| format!("ethtool -K {interface}{words}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{features::tests::features, link::tests::link};

    const BOTH: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];

    #[test]
    fn a_nic_that_takes_tags_off_is_named_with_the_command_that_stops_it() {
        let (eth0, bond0) = (link(2, "eth0"), link(3, "bond0"));
        let said =
            |nic: &Link, on: &[&str], switchable: &[&str]| of_nic(nic, &eth0, &features(on, switchable));
        let one = said(&eth0, &BOTH[..1], &BOTH).unwrap();
        assert!(
            one.starts_with("eth0: the NIC takes") && one.contains("`ethtool -K eth0 rxvlan off`"),
            "{one}"
        );
        let both = said(&bond0, &BOTH, &BOTH).unwrap();
        let command = "`ethtool -K eth0 rxvlan off rx-vlan-stag-hw-parse off`";
        assert!(both.starts_with("bond0: eth0 takes") && both.contains(command), "{both}");
        assert_eq!(said(&eth0, &[], &BOTH), None);
    }

    #[test]
    fn what_is_fixed_has_no_command() {
        let eth0 = link(2, "eth0");
        for switchable in [&[][..], &BOTH[1..]] {
            let fixed = of_nic(&eth0, &eth0, &features(&BOTH, switchable)).unwrap();
            assert!(!fixed.contains("ethtool") && fixed.contains("does not let"), "{fixed}");
        }
    }

    #[test]
    fn the_other_end_of_a_veth_has_the_command() {
        let (met0, gen0) = (link(2, "met0"), link(3, "gen0"));
        let on = ["tx-vlan-hw-insert"];
        let here = of_peer(&met0, &gen0, &features(&on, &on)).unwrap();
        assert!(here.starts_with("met0: gen0, ") && here.contains("`ethtool -K gen0 txvlan off`"), "{here}");
        assert_eq!(of_peer(&met0, &gen0, &features(&[], &on)), None);
        let named = of_peer_elsewhere(&met0, Some("eth0"));
        assert!(
            named.contains("another network namespace") && named.contains("`ethtool -K eth0 txvlan off`")
        );
        assert!(of_peer_elsewhere(&met0, None).contains("`ethtool -K IF txvlan off`"));
    }
}
