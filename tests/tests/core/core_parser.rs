//! The parser's build for the host: each crafted frame gets exactly the answer that was written down for
//! it, and each capture adds up to its ground truth.
//!
//! The captures are the project's own and those of the directories in `FLOWXDP_CAPTURES`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use flowxdp::capture::{Reader, to_ethernet};
use flowxdp_common::reason::{IGNORED, Ignored};
use flowxdp_common::tunnel;
use flowxdp_core::record::{Addresses, FlowKey};
use flowxdp_fuzz::mutate::{Case, Random};
use flowxdp_fuzz::outcome::{Metered, Outcome, outcome, outcome_inside};
use flowxdp_fuzz::parser;
use flowxdp_tests::captures::{self, Directory};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::craft::{self, catalogue};
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::flows::{Flows, Key, Sums, Tuple};
use flowxdp_tests::truth::Truth;

const INGRESS: u32 = 4_711;

fn addresses(addresses: &Addresses) -> (IpAddr, IpAddr) {
    match *addresses {
        Addresses::V4 { source, destination } => (source.into(), destination.into()),
        Addresses::V6 { source, destination } => (source.into(), destination.into()),
    }
}

/// The answer in the words of the crafted frames.
fn told(outcome: Outcome) -> Result<craft::Verdict> {
    let metered = match outcome {
        Ok(metered) => metered,
        Err(Ignored::NotIp) => return Ok(craft::Verdict::Ignored(craft::Ignored::NotIp)),
        Err(Ignored::Truncated) => return Ok(craft::Verdict::Ignored(craft::Ignored::Truncated)),
        Err(Ignored::Malformed) => return Ok(craft::Verdict::Ignored(craft::Ignored::Malformed)),
    };
    let Metered { key, octets, tcp_flags, ttl, .. } = metered;
    let FlowKey { source_port, destination_port, protocol, tos, vlan, ingress, .. } = key;
    ensure!(ingress == INGRESS, "ingress {ingress}");
    let (source, destination) = addresses(&key.addresses);
    let tcp_flags = u8::try_from(tcp_flags & 0xff)?;
    Ok(craft::Verdict::Metered(craft::Metered {
        source,
        destination,
        protocol,
        source_port,
        destination_port,
        vlan,
        tos,
        octets,
        tcp_flags,
        ttl,
    }))
}

/// The frames of the catalogue as the metering process gets them.
fn crafted() -> Result<Vec<(String, craft::Verdict, Case)>> {
    let mut cases = Vec::new();
    for file in catalogue() {
        for frame in file.frames {
            let mut octets = Vec::new();
            let lengths = to_ethernet(frame.link, &frame.data, frame.wire, &mut octets)?;
            ensure!(lengths.captured as usize == octets.len(), "{}: {lengths:?}", frame.story);
            let name = format!("{}: {}", file.name, frame.story);
            cases.push((name, frame.verdict, Case { octets, wire: lengths.wire }));
        }
    }
    Ok(cases)
}

#[test]
fn each_crafted_frame_gets_the_answer_written_down_for_it() -> Result<()> {
    let mut failures = Failures::default();
    for (name, verdict, Case { octets, wire }) in crafted()? {
        failures.check(&name, || {
            let got = told(outcome(&octets, wire, INGRESS))?;
            ensure!(got == verdict, "{got:?}, not {verdict:?}");
            Ok(())
        });
    }
    failures.end()
}

#[test]
fn what_must_hold_for_any_frame_holds_for_crafted_ones_cut_anywhere() -> Result<()> {
    for (_, _, Case { octets, wire }) in crafted()? {
        for cut in (0..octets.len()).take(200).chain([octets.len()]) {
            parser::check(&octets, wire, cut);
        }
    }
    Ok(())
}

#[test]
fn what_must_hold_for_any_frame_holds_for_random_ones() -> Result<()> {
    let valid: Vec<Case> = crafted()?.into_iter().map(|(_, _, case)| case).collect();
    let mut random = Random(0xf10e);
    for _ in 0..200_000 {
        let Case { octets, wire } = Case::random(&mut random, &valid);
        parser::check(&octets, wire, random.below(octets.len() + 1));
    }
    Ok(())
}

/// The host parser's verdicts on a capture.
#[derive(Default)]
struct Sum {
    flows: Flows,
    vlan_flows: Flows,
    frames: u64,
    ignored: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, outcome: Outcome, time_ns: u64) -> Result<()> {
        self.frames += 1;
        let Metered { key, octets, tcp_flags, ttl, .. } = match outcome {
            Ok(metered) => metered,
            Err(why) => {
                let name = IGNORED[why as usize].name.to_owned();
                *self.ignored.entry(name).or_default() += 1;
                return Ok(());
            }
        };
        let (src, dst) = addresses(&key.addresses);
        let FlowKey { protocol, source_port, destination_port, .. } = key;
        let tuple = Tuple { src, dst, proto: protocol, sport: source_port, dport: destination_port };
        let ms = time_ns / 1_000_000;
        let sums = Sums {
            packets: 1,
            octets: octets.into(),
            flags: Some(u8::try_from(tcp_flags & 0xff)?),
            first_ms: Some(ms),
            last_ms: Some(ms),
            min_ttl: Some(ttl),
            max_ttl: Some(ttl),
        };
        self.flows.add(Key { tuple, vlan: None, tos: None }, &sums);
        self.vlan_flows.add(Key { tuple, vlan: Some(tunnel::vlan(key.vlan)), tos: Some(key.tos) }, &sums);
        Ok(())
    }

    fn is(&self, truth: &Truth) -> Result<()> {
        equal(&truth.flows, &self.flows, Columns::ALL)?;
        equal(&truth.vlan_flows, &self.vlan_flows, Columns::ALL)?;
        self.ignored_are(truth)
    }

    fn ignored_are(&self, truth: &Truth) -> Result<()> {
        ensure!(self.frames == truth.frames, "{} frames, not {}", self.frames, truth.frames);
        let some = |(_, packets): &(&String, &u64)| **packets > 0;
        let (want, got) = (truth.ignored.iter().filter(some), self.ignored.iter().filter(some));
        ensure!(want.eq(got), "ignored {:?}, not {:?}", self.ignored, truth.ignored);
        Ok(())
    }
}

#[test]
fn each_capture_adds_up_to_its_ground_truth() -> Result<()> {
    let mut failures = Failures::default();
    for Directory { path, captures } in captures::directories()? {
        for capture in &captures {
            failures.check(&capture.name, || {
                let (mut sum, mut inner) = (Sum::default(), Sum::default());
                let mut reader = Reader::open(&capture.path)?;
                let mut octets = Vec::new();
                while let Some(frame) = reader.next()? {
                    let lengths = to_ethernet(frame.link, frame.data, frame.wire, &mut octets)?;
                    let time = frame.time_ns.context("a time out of range")?;
                    sum.add(outcome(&octets, lengths.wire, INGRESS), time)?;
                    inner.add(outcome_inside(&octets, lengths.wire, INGRESS, &[]), time)?;
                }
                if let Some(truth) = &capture.truth.inner {
                    equal(truth, &inner.flows, Columns::ALL).context("tunnels opened")?;
                }
                inner.ignored_are(&capture.truth).context("tunnels opened")?;
                sum.is(&capture.truth)
            });
        }
        tell(&format!("host parser: {} captures of {}", captures.len(), path.display()));
    }
    failures.end()
}
