//! Writes the fuzzers' first inputs: the frames of the project's captures, each once, and a session's
//! messages of a few records.
//!
//! `fuzz-seeds TARGET DIRECTORY`

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use flowxdp::capture::{Frame, Reader, to_ethernet};
use flowxdp_core::{
    clock::Now,
    exporting::options::Snapshot,
    exporting::session::{Session, SessionConfig},
    exporting::spool::begin,
    record::{Addresses, Flow, FlowKey, FlowRecord},
    samples,
};
use flowxdp_fuzz::{
    input::Input,
    mutate::Random,
    names::{Step, encode},
};

/// Longer frames are left out: a fuzzer finds the same faults in short ones, only faster.
const LONGEST: usize = 1500;
/// Octets of a capture file: one short packet, or the start of a longer file. A cut is a fault that a reader
/// must report.
const FILE: usize = 512;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().context("fuzz-seeds TARGET DIRECTORY")?;
    let into = PathBuf::from(arguments.next().context("fuzz-seeds TARGET DIRECTORY")?);
    let mut seeds = BTreeSet::new();
    match target.as_str() {
        "spool" => spool(&mut seeds)?,
        "encoder" => encoder(&mut seeds),
        "status" => status(&mut seeds),
        "names" => names(&mut seeds)?,
        _ => captures(&target, &mut seeds)?,
    }
    fs::create_dir_all(&into)?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(into.join(format!("seed-{number:04}")), seed)?;
    }
    println!("{} seeds for {target}", seeds.len());
    Ok(())
}

fn captures(target: &str, seeds: &mut BTreeSet<Vec<u8>>) -> Result<()> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    for entry in fs::read_dir(&captures).with_context(|| captures.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            match target {
                "parser" => frames(&path, |frame| parser(frame, seeds))?,
                "capture" => {
                    let file = fs::read(&path)?;
                    let start = file.get(..FILE).unwrap_or(&file);
                    seeds.insert(start.to_vec());
                    seeds.extend(packed(start)?);
                    frames(&path, |frame| capture(frame, seeds))?;
                }
                other => bail!("there is no target {other}"),
            }
        }
    }
    Ok(())
}

/// The start of a file, packed both ways.
fn packed(start: &[u8]) -> Result<[Vec<u8>; 2]> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(start)?;
    let zstd = ruzstd::encoding::compress_to_vec(start, ruzstd::encoding::CompressionLevel::Fastest);
    Ok([gzip.finish()?, zstd])
}

fn frames(path: &Path, mut keep: impl FnMut(Frame<'_>)) -> Result<()> {
    let mut reader = Reader::open(path)?;
    while let Some(frame) = reader.next()? {
        if frame.data.len() <= LONGEST {
            keep(frame);
        }
    }
    Ok(())
}

fn parser(frame: Frame<'_>, seeds: &mut BTreeSet<Vec<u8>>) {
    let mut octets = Vec::new();
    if let Ok(lengths) = to_ethernet(frame.link, frame.data, frame.wire, &mut octets) {
        seeds.extend(Input { octets: &octets, wire: lengths.wire, cut: octets.len() * 2 / 3 }.encode());
    }
}

/// Each frame that is not Ethernet in a file of its own; the reader does not look into the others.
fn capture(frame: Frame<'_>, seeds: &mut BTreeSet<Vec<u8>>) {
    let Ok(length) = u32::try_from(frame.data.len()) else { return };
    if frame.link == 1 {
        return;
    }
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, frame.link, 1, 2, length, frame.wire] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(frame.data);
    if file.len() <= FILE {
        seeds.insert(file);
    }
}

/// Files of a few records: a session's messages with options data, and a spool file's.
fn spool(seeds: &mut BTreeSet<Vec<u8>>) -> Result<()> {
    let now = Now::new(0, 1_793_700_000_000);
    for records in 1..5_u16 {
        let mut session = Session::new(SessionConfig::reliable(0))?;
        let snapshot = Snapshot { process: 1, name: "exporter".to_owned(), ..Snapshot::default() };
        session.offer(&snapshot, now, true);
        for record in 0..records {
            session.push(&FlowRecord::from(flow(record)), now)?;
        }
        let messages: Vec<Vec<u8>> =
            std::iter::from_fn(|| session.poll_message(now, true)).map(|message| message.bytes).collect();
        let mut file = begin(1, &session.templates(), 1_793_700_000);
        file.extend(messages.last().into_iter().flatten());
        seeds.insert(file);
        seeds.insert(messages.concat());
    }
    // Templates of other exporters: a value of variable length, an enterprise's element, a withdrawal.
    let words: [u16; 32] = [
        10, 64, 0, 1, 0, 0, 0, 1, 2, 24, 256, 3, 2, 0xffff, 0x8001, 2, 0, 9, 1, 8, 256, 16, 0x0105, 7, 0, 0,
        0, 9, 2, 8, 256, 0,
    ];
    seeds.insert(words.iter().flat_map(|word| word.to_be_bytes()).collect());
    Ok(())
}

/// Sessions of every protocol, and much that is done with each.
fn encoder(seeds: &mut BTreeSet<Vec<u8>>) {
    let mut random = Random(1);
    for protocol in 0..6 {
        for length in [64, 256, 700] {
            let mut seed = random.octets(length);
            seed[0] = protocol;
            seeds.insert(seed);
        }
    }
}

/// Payloads of the capture of names by ports that a flow of the fuzzer has, alone and two after each other.
fn names(seeds: &mut BTreeSet<Vec<u8>>) -> Result<()> {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures/recorded-names.pcap");
    let mut steps: Vec<Step> = Vec::new();
    frames(&capture, |frame| steps.extend(step(frame.data)))?;
    for pair in steps.windows(2) {
        seeds.extend([encode(&pair[..1]), encode(pair)]);
    }
    // Octets of a handshake, which the target protects as QUIC packets: a hello behind the header of its record.
    let is_hello = |step: &&Step| step.octets.starts_with(&[22, 3, 1]);
    for hello in steps.iter().filter(is_hello) {
        let octets = &hello.octets[5..];
        let (first, second) = octets.split_at(octets.len() / 2);
        let half = |at: usize, octets: &[u8]| Step {
            kind: 0x24,
            sequence: u16::try_from(at).unwrap_or_default(),
            octets: octets.to_vec(),
        };
        seeds.insert(encode(&[half(0, octets)]));
        seeds.insert(encode(&[half(first.len(), second), half(0, first)]));
    }
    Ok(())
}

/// The payload of an Ethernet frame with IPv4 and TCP or UDP, on a flow by its ports.
fn step(frame: &[u8]) -> Option<Step> {
    if frame.get(12..14)? != [0x08, 0x00] {
        return None;
    }
    let transport = frame.get(34..)?;
    let is_udp = *frame.get(23)? == 17;
    let port = |at: usize| Some(u16::from_be_bytes([*transport.get(at)?, *transport.get(at + 1)?]));
    let (from, to) = (port(0)?, port(2)?);
    let header = if is_udp { 8 } else { usize::from(transport.get(12)? >> 4) * 4 };
    let kind = match (is_udp, from, to) {
        (false, _, 443) => 0,
        (false, 443, _) => 1,
        (false, _, 53) => 3,
        (false, ..) => 2,
        (true, _, 443) => 4,
        (true, 443, _) => 5,
        (true, _, 53) => 6,
        (true, ..) => 7,
    };
    let octets = transport.get(header..)?.to_vec();
    let sequence = if is_udp { 0 } else { u16::from_be_bytes([*transport.get(6)?, *transport.get(7)?]) };
    (!octets.is_empty()).then_some(Step { kind, sequence, octets })
}

/// Answers of agents: small ones, with every term of the books.
fn status(seeds: &mut BTreeSet<Vec<u8>>) {
    let both = r#"{"packets":3,"octets":180}"#;
    let all = r#"{"records":1,"packets":3,"octets":180}"#;
    let terms = format!(r#""seen":{both},"ignored":{{"not_ip":{both}}},"lost":{{"queue_full":{both}}}"#);
    let collector = format!(
        r#""exported":{all},"queued":{all},"lost":{all},"perhaps_twice":{all},"lost_by_reason":{{"x":{all}}}"#
    );
    for answer in [
        format!(r#"{{{terms},"exported":{both},"queued":{both},"in_table":{both}}}"#),
        format!(r#"{{"interfaces":{{"eth0":{{{terms}}}}}}}"#),
        format!(r#"{{"collectors":{{"udp://[2001:db8::1]":{{{collector}}}}}}}"#),
        r#"{"interfaces": {"\u001b[2J\u202e": {"seen": 18446744073709551615}}}"#.to_owned(),
    ] {
        seeds.insert(answer.into_bytes());
    }
}

/// A flow of one of the four kinds of record.
fn flow(number: u16) -> Flow {
    let is_icmp = number % 4 > 1;
    Flow {
        key: FlowKey {
            addresses: if number.is_multiple_of(2) {
                Addresses::V4 { source: [192, 0, 2, 1], destination: [192, 0, 2, 2] }
            } else {
                Addresses::V6 { source: [1; 16], destination: [2; 16] }
            },
            source_port: number,
            protocol: if is_icmp { if number.is_multiple_of(2) { 1 } else { 58 } } else { 17 },
            ..samples::KEY
        },
        packets: 3,
        octets: 180,
        start_ms: 1_793_700_000_000,
        end_ms: 1_793_700_000_000,
        ..samples::FLOW
    }
}
