//! The cost of names: nanoseconds that copies add to the program, and microseconds that the inspector takes.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;
use flowxdp::capture::{Reader, to_ethernet};
use flowxdp::names::{Namer, Said};
use flowxdp_common::observation::Observation;
use flowxdp_core::enrich::names::verdict::{Names, Verdict};
use flowxdp_ebpf::{frame::Slice, observe::observe};
use serde_json::{Value, json};

use crate::load::{Family, Load, Order};
use crate::measure::{self, Spread};
use crate::subject::Kind;
use crate::{report, some};

/// Nanoseconds that copies of first packets cost, and microseconds of the inspector
#[derive(Args)]
pub(crate) struct Options {
    /// Numbers of flows to measure hits with, behind the first packets of each
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 50_000], value_parser = some())]
    flows: Vec<u32>,
    /// New flows: the ring buffer has room for a copy of each
    #[arg(long, default_value_t = 50_000, value_parser = some())]
    new: u32,
    /// Times that each program has its turn
    #[arg(long, default_value_t = 9, value_parser = some())]
    rounds: u32,
    /// Packets of a turn
    #[arg(long, default_value_t = 1_000_000, value_parser = some())]
    packets: u32,
    /// Messages of each kind that the inspector reads in a turn
    #[arg(long, default_value_t = 20_000, value_parser = some())]
    messages: u32,
}

const OFF: &str = "names off";

/// Packets of a slot that are copied.
const FIRST: u32 = 8;

fn kinds() -> measure::Kinds {
    vec![
        ("parse and pass", Kind::Parse),
        (OFF, Kind::Shipped),
        ("budget spent", Kind::Copying { first: FIRST, budget: 0 }),
        ("copied", Kind::Copying { first: FIRST, budget: u32::MAX }),
    ]
}

/// Measures; prints tables if asked to.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    measure::stay_on_this_cpu()?;
    let Options { new, rounds, packets, .. } = *options;
    let (mut hits, mut insertions) = (Vec::new(), Vec::new());
    for family in [Family::V4, Family::V6] {
        let load =
            |flows: u32, order| Load { flows, table: flows.saturating_mul(2), family, order, apart: false };
        for &flows in &options.flows {
            ensure!(
                packets / flows > FIRST,
                "{packets} packets of {flows} flows are all first packets: raise --packets"
            );
            hits.push(measure::hits(load(flows, Order::Uniform), OFF, kinds(), rounds, packets)?);
        }
        insertions.push(measure::new_flows(load(new, Order::New), OFF, kinds(), rounds)?);
    }
    if tables {
        hits.iter().chain(&insertions).for_each(|group| println!("{}", report::table(group)));
    }
    let inspected = inspector(options, tables)?;
    let json = |groups: &[measure::Group]| groups.iter().map(report::group).collect::<Vec<_>>();
    Ok(json!({ "hits": json(&hits), "insertions": json(&insertions), "inspector": inspected }))
}

/// A frame of each kind of message, by its name.
fn messages() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/recorded-names.pcap");
    let (mut reader, mut ethernet) = (Reader::open(&capture)?, Vec::new());
    let mut found: Vec<(&'static str, Vec<u8>)> = Vec::new();
    while let Some(frame) = reader.next()? {
        let lengths = to_ethernet(frame.link, frame.data, frame.wire, &mut ethernet)?;
        // A new inspector: the message is whole in this frame.
        let said = read(&mut Namer::default(), &ethernet, lengths.wire);
        let kind = match said.map(|said| said.verdict) {
            Some(Verdict::Named(Names::Tls(_))) => "TLS ClientHello",
            Some(Verdict::Named(Names::Quic(_))) => "QUIC Initial",
            Some(Verdict::Named(Names::Http(_))) => "HTTP request",
            Some(Verdict::Named(Names::Dns(message))) if message.is_response => "DNS answer",
            _ => continue,
        };
        if is_ipv4(&ethernet) && !found.iter().any(|(known, _)| *known == kind) {
            found.push((kind, ethernet.clone()));
        }
    }
    ensure!(found.len() == 4, "the capture has {} kinds of messages", found.len());
    Ok(found)
}

fn is_ipv4(ethernet: &[u8]) -> bool {
    ethernet.get(12..14) == Some(&[8, 0])
}

fn read(namer: &mut Namer, frame: &[u8], wire: u32) -> Option<Said> {
    let mut observation = Observation::default();
    observe(&Slice::new(frame, wire), &mut observation);
    namer.packet(frame, &observation, 0)
}

/// Microseconds of the inspector for each kind of message, each of a flow of its own.
fn inspector(options: &Options, tables: bool) -> Result<Value> {
    let mut rows = Vec::new();
    for (kind, mut frame) in messages()? {
        let wire = u32::try_from(frame.len())?;
        let mut times = Vec::new();
        for round in 0..=options.rounds {
            let mut namer = Namer::default();
            let start = measure::cpu_time();
            for number in 0..options.messages {
                // The source address.
                let place = frame.get_mut(26..30).context("a short frame")?;
                place.copy_from_slice(&number.to_be_bytes());
                let said = read(&mut namer, &frame, wire);
                ensure!(said.is_some_and(|said| said.is_named()), "{kind}: no name");
            }
            let time = (measure::cpu_time() - start).as_secs_f64() * 1e6 / f64::from(options.messages);
            if round > 0 {
                times.push(time);
            }
        }
        let Spread { median, least, most } = Spread::of(times);
        if tables {
            let rate = 1e6 / median;
            println!(
                "{kind}, {wire} octets: {median:.2} µs ({least:.2} to {most:.2}), {rate:.0} a second and core"
            );
        }
        rows.push(json!({ "message": kind, "octets": wire, "us": Spread { median, least, most }.json() }));
    }
    Ok(Value::Array(rows))
}
