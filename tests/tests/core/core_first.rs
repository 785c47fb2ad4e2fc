//! The program's choice of first packets, on recorded traffic: no packet that says a name is left out.

use anyhow::{Result, ensure};
use flowxdp::capture::{Reader, to_ethernet};
use flowxdp::names::Namer;
use flowxdp_common::observation::Observation;
use flowxdp_core::enrich::names::verdict::{Reason, Verdict};
use flowxdp_ebpf::{first::Place, frame::Slice, observe::observe, walk::walk};
use flowxdp_tests::captures;
use flowxdp_tests::failures::{Failures, tell};

#[test]
fn each_packet_that_says_a_name_or_a_part_of_one_is_offered() -> Result<()> {
    let mut failures = Failures::default();
    let (mut packets, mut offered, mut named) = (0, 0, 0);
    for capture in captures::all()? {
        failures.check(&capture.name, || {
            let (mut reader, mut namer, mut ethernet) =
                (Reader::open(&capture.path)?, Namer::default(), Vec::new());
            // A capture that is cut in the middle ends here as well.
            while let Ok(Some(frame)) = reader.next() {
                let Ok(lengths) = to_ethernet(frame.link, frame.data, frame.wire, &mut ethernet) else {
                    continue;
                };
                let slice = Slice::new(&ethernet, lengths.wire);
                let (mut observation, mut place) = (Observation::default(), Place::default());
                observe(&slice, &mut observation);
                walk(&slice, &mut place);
                let is_offered = place.may_name(&slice);
                let said = namer.packet(&ethernet, &observation, frame.time_ns.unwrap_or(0) / 1_000_000);
                let says = said.is_some_and(|said| {
                    matches!(said.verdict, Verdict::Named(_) | Verdict::Unnamed(Reason::Incomplete))
                });
                (packets, offered, named) =
                    (packets + 1, offered + u64::from(is_offered), named + u64::from(says));
                ensure!(is_offered || !says, "a packet at {:?} ns is left out", frame.time_ns);
            }
            Ok(())
        });
    }
    tell(&format!("{packets} packets, {offered} are offered, {named} say a name or a part of one"));
    ensure!(named > 20 && offered < packets / 2, "{named} of {packets} say a name, {offered} are offered");
    failures.end()
}
