//! The target `parser`: any octets as a frame.

mod chosen;

use flowxdp_common::{
    observation::{METERED, Observation, STEPS, Step},
    reason::Ignored,
};
use flowxdp_ebpf::{
    frame::Slice,
    layer::Layer,
    observe::{observe, observe_inside},
};

use crate::{
    input::Input,
    outcome::{Metered, Outcome, outcome, outcome_inside},
    reference,
};

/// Octets of an Ethernet header.
const ETHERNET: u32 = 14;

/// UDP ports of VXLAN beside its own.
const VXLAN_PORTS: [u16; 1] = [8472];

/// An ifIndex.
const INGRESS: u32 = 7;

/// One input of the fuzzer.
pub fn target(data: &[u8]) {
    if let Some(Input { octets, wire, cut }) = Input::decode(data) {
        check(octets, wire, cut);
    }
}

/// Properties for any frame; `cut` is at most its length.
///
/// # Panics
///
/// A property fails.
pub fn check(octets: &[u8], wire: u32, cut: usize) {
    let whole = outcome(octets, wire, INGRESS);
    assert_eq!(whole, reference::outcome(octets, wire, INGRESS), "the reference says otherwise");
    if let Ok(metered) = whole {
        assert!(metered.octets <= wire - ETHERNET, "more IP octets than the frame has");
        assert!(metered.octets >= 20, "fewer IP octets than a header has");
        assert!(metered.key.vlan < 4096, "a VLAN identifier has 12 bits");
        assert!(metered.tcp_flags < 4096, "TCP flags are 12 bits");
        assert!(metered.tcp_flags == 0 || metered.key.protocol == 6, "only TCP has TCP flags");
        padding_changes_nothing(octets, wire, metered);
    }
    observed(octets, wire, whole);
    inside(octets, wire, whole);
    chosen::homes(&Slice::new(octets, wire), u64::from(INGRESS));
    chosen::first(&Slice::new(octets, wire), whole);
    let fewer = outcome(&octets[..cut], wire, INGRESS);
    assert!(may_become(whole, fewer), "cut to {cut} octets, {whole:?} became {fewer:?}");
}

/// Opening tunnels ignores no packet and makes none longer, and the observer finds the same.
fn inside(octets: &[u8], wire: u32, outside: Outcome) {
    let inside = outcome_inside(octets, wire, INGRESS, &VXLAN_PORTS);
    let reference = reference::outcome_inside(octets, wire, INGRESS, &VXLAN_PORTS);
    assert_eq!(inside, reference, "the reference says otherwise with tunnels opened");
    assert_eq!(inside.err(), outside.err(), "a tunnel changed the reason for ignoring");
    let mut observation = Observation::default();
    observe_inside(&Slice::new(octets, wire), &VXLAN_PORTS, &mut observation);
    let (Ok(inside), Ok(outside)) = (inside, outside) else { return };
    assert!(inside.octets <= outside.octets, "a packet inside is longer than the one outside");
    assert_eq!((observation.verdict, observation.octets), (METERED, inside.octets));
    assert_eq!(observation.protocol, inside.key.protocol);
    assert_eq!(observation.tunnels > 0, inside.key.vlan >= 1 << 12, "the observer opened other tunnels");
}

/// The sink that observes the walk has the same answer, and each header behind the one before it.
fn observed(octets: &[u8], wire: u32, whole: Outcome) {
    let mut observation = Observation::default();
    observe(&Slice::new(octets, wire), &mut observation);
    let expected = whole.map_or_else(|reason| reason as u8 + 1, |_| METERED);
    assert_eq!(observation.verdict, expected, "the observer says otherwise than {whole:?}");
    let steps = observation.steps();
    assert!((1..STEPS).contains(&steps.len()), "{} headers", steps.len());
    assert!(steps.iter().all(|step| Layer::of(step.layer).is_some()), "a header of no layer");
    assert!(steps.is_sorted_by_key(|step| step.at), "a header in front of the one before it: {steps:?}");
    // The parser asks for no header behind one that is missing; the octet behind a label is not kept.
    let (last, passed) = steps.split_last().expect("a header");
    let is_read = |step: &Step| step.was_read != 0 || step.layer == Layer::Version as u8;
    assert!(passed.iter().all(is_read), "a header behind one that is missing: {steps:?}");
    assert!(last.at <= wire, "a header behind the frame");
    if let Ok(metered) = whole {
        assert_eq!((observation.octets, observation.vlan), (metered.octets, metered.key.vlan));
    }
}

/// Octets behind a frame that was captured whole belong to no packet, but to TCP without a length of its own.
fn padding_changes_nothing(octets: &[u8], wire: u32, whole: Metered) {
    if octets.len() == wire as usize {
        for padding in [[0; 9], [0xff; 9]] {
            let padded = outcome(&[octets, &padding].concat(), wire + 9, INGRESS);
            let longer = |got: Metered| {
                whole.key.protocol == 6
                    && whole == Metered { octets: got.octets - 9, tcp_flags: whole.tcp_flags, ..got }
            };
            assert!(
                padded.is_ok_and(|got| got == whole || longer(got)),
                "padding changed {whole:?} to {padded:?}"
            );
        }
    }
}

/// The verdict on a frame of which fewer octets were captured: the same, or truncated.
fn may_become(whole: Outcome, fewer: Outcome) -> bool {
    let without_flags = whole.map(|metered| Metered { tcp_flags: 0, ..metered });
    fewer == whole || fewer == Err(Ignored::Truncated) || (fewer.is_ok() && fewer == without_flags)
}
