//! Properties of the parser for any octets, and its answers to faults in valid packets.

mod packet;

use flowxdp_common::reason::Ignored;
use flowxdp_ebpf::{
    frame::Slice,
    verdict::{Facts, Verdict},
    walk,
};
use packet::{Packet, packet};
use proptest::{collection::vec, prelude::*};

fn verdict(octets: &[u8], wire: u32) -> Verdict {
    walk::verdict(&Slice::new(octets, wire))
}

fn facts(verdict: &Verdict) -> Option<Facts> {
    match verdict {
        Verdict::V4(_, facts) | Verdict::V6(_, facts) => Some(*facts),
        Verdict::Ignored(_) => None,
    }
}

fn without_flags(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::V4(words, facts) => Verdict::V4(words, Facts { tcp_flags: 0, ..facts }),
        Verdict::V6(words, facts) => Verdict::V6(words, Facts { tcp_flags: 0, ..facts }),
        ignored @ Verdict::Ignored(_) => ignored,
    }
}

/// Whether `fewer` may be said of the start of a frame of which `whole` is said.
fn may_become(whole: Verdict, fewer: Verdict) -> bool {
    let truncated = fewer == Verdict::Ignored(Ignored::Truncated);
    truncated || fewer == whole || (facts(&fewer).is_some() && fewer == without_flags(whole))
}

/// Properties for any frame, at every cut.
fn check(octets: &[u8], wire: u32) -> Result<(), TestCaseError> {
    let whole = verdict(octets, wire);
    if let Some(facts) = facts(&whole) {
        prop_assert!(facts.octets <= wire - 14 && facts.octets >= 20, "{whole:?} of {wire} octets");
    }
    for cut in 0..octets.len() {
        let fewer = verdict(&octets[..cut], wire);
        prop_assert!(may_become(whole, fewer), "cut to {cut}: {whole:?} became {fewer:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_octets_get_an_answer(octets in vec(any::<u8>(), 0..120), beyond in 0..100_u32) {
        let wire = u32::try_from(octets.len()).unwrap() + beyond;
        check(&octets, wire)?;
    }

    #[test]
    fn valid_packets_are_metered(Packet { octets, length, .. } in packet()) {
        let wire = u32::try_from(octets.len()).unwrap();
        let answer = verdict(&octets, wire);
        prop_assert_eq!(facts(&answer).map(|facts| facts.octets as usize), Some(length), "{:?}", answer);
        check(&octets, wire)?;
    }

    #[test]
    fn faults_do_no_harm(
        packet in packet(),
        faults in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        beyond in 0..40_u32,
    ) {
        let mut octets = packet.octets.clone();
        for (at, octet) in faults {
            // Not in the addresses, where a fault is none.
            let at = 12 + at.index(octets.len() - 12);
            octets[at] = octet;
        }
        check(&octets, packet.wire() + beyond)?;
    }

    #[test]
    fn padding_changes_nothing(packet in packet(), padding in vec(any::<u8>(), 0..80)) {
        let padded = [&packet.octets[..], &padding].concat();
        let wire = u32::try_from(padded.len()).unwrap();
        prop_assert_eq!(verdict(&padded, wire), verdict(&packet.octets, packet.wire()));
    }

    #[test]
    fn ethernet_addresses_change_nothing(packet in packet(), addresses in any::<[u8; 12]>()) {
        let mut octets = packet.octets.clone();
        octets[..12].copy_from_slice(&addresses);
        prop_assert_eq!(verdict(&octets, packet.wire()), verdict(&packet.octets, packet.wire()));
    }

    /// The payload of a flow's packets may be anything, or not be captured.
    #[test]
    fn what_is_behind_the_transport_header_changes_nothing(packet in packet(), octet in any::<u8>()) {
        let mut octets = packet.octets.clone();
        let end = packet.ip + packet.length;
        // The generator's payload starts with a header of at most 14 octets that are looked at.
        octets[end - 6..].fill(octet);
        let whole = verdict(&packet.octets, packet.wire());
        prop_assert_eq!(verdict(&octets, packet.wire()), whole);
        prop_assert_eq!(verdict(&octets[..end - 6], packet.wire()), whole);
    }

    #[test]
    fn a_packet_longer_than_its_frame_is_malformed(packet in packet(), missing in 1..20_u32) {
        let wire = packet.wire() - missing;
        let octets = &packet.octets[..wire as usize];
        let answer = verdict(octets, wire);
        prop_assert_eq!(answer, Verdict::Ignored(Ignored::Malformed));
    }

    #[test]
    fn the_wire_length_is_never_below_what_was_captured(packet in packet(), wire in any::<u16>()) {
        let answer = verdict(&packet.octets, packet.wire());
        prop_assert_eq!(verdict(&packet.octets, packet.wire().min(wire.into())), answer);
        prop_assert_eq!(verdict(&packet.octets, packet.wire() + u32::from(wire)), answer);
    }
}
