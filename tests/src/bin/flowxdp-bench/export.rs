//! The export part: records a second that one core turns into messages and hands to the kernel.
//!
//! Every subject has its turn, round after round, so that other load on the machine meets all of them; the
//! medians are shown. A figure counts the processor time of the subject alone: this thread for our own parts,
//! the whole process with its children for others. Over loopback the figure holds the receiver's half of the
//! kernel's work, for all alike.
//!
//! softflowd, pmacctd and nfpcapd read a capture with one packet for each flow, so reading and metering are
//! in their figures. Our own side begins with records that come again and again, or with a table that is full
//! of the capture's flows: the received records must then equal softflowd's, flow by flow, with their
//! counters. softflowd's work after reading has a row of its own; so has softflowd without a collector.
//!
//! - [`flows`]: the records, and the capture with the same flows.
//! - [`encode`]: records in, messages out, nothing sent.
//! - [`send`]: our exporter to a receiver that only reads: [`receiver`], [`stream`], with [`decode`].
//! - [`table`]: the same from a full table. [`others`]: the other programs.
//! - [`report`]: the tables, or JSON.

mod decode;
mod encode;
mod flows;
pub(crate) mod others;
pub(crate) mod receiver;
mod report;
mod send;
mod stream;
mod table;

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use flowxdp::transport::udp::MOST_SEGMENTS;
use flowxdp_core::elements::Choice;
use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::exporting::session::SessionConfig;
use serde_json::Value;

use self::flows::SYSTEM_START;
use self::others::Others;
use self::send::Transport;
use self::table::Full;
use crate::groups;

/// Records a second and core: our encoder and transports, beside other programs
#[derive(Args)]
pub(crate) struct Options {
    /// Times that each subject has its turn
    #[arg(long, default_value_t = 7, value_parser = crate::some())]
    rounds: u32,
    /// Records of a turn
    #[arg(long, default_value_t = 1_000_000, value_parser = crate::some())]
    records: u32,
    /// Flows in the capture that other programs read
    #[arg(long, default_value_t = 500_000, value_parser = crate::some())]
    flows: u32,
    /// Leave other programs out
    #[arg(long)]
    pub(crate) alone: bool,
}

/// One turn of one subject.
#[derive(Clone, Copy, Default)]
pub(crate) struct Turn {
    /// Records that were handed over while it was measured.
    pub(crate) records: u64,
    /// Records that a receiver or a file should have in the end, and those that it has; 0 where there is
    /// neither.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Processor time.
    pub(crate) cpu: Duration,
    /// The part of it that queueing took.
    pub(crate) push: Duration,
    /// Time of day.
    pub(crate) wall: Duration,
    /// From the first datagram to the last one, as the receiver sees them.
    pub(crate) sending: Duration,
}

/// A subject, and its turns.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) turns: Vec<Turn>,
    what: What,
}

enum What {
    Encode(SessionConfig),
    Send(Transport, Protocol),
    /// The kernel takes so many messages as one.
    Table(Protocol, usize),
    Other(others::Program),
}

/// The names that the report looks for.
pub(crate) const ENCODE: &str = "encode IPFIX";
pub(crate) const ENCODE_LARGE: &str = "encode IPFIX, messages of 65,535";
pub(crate) const ENCODE_ALL: &str = "encode IPFIX, all groups";
pub(crate) const UDP: &str = "UDP, IPFIX";
pub(crate) const TABLE_V5: &str = "table to UDP, v5";
pub(crate) const TABLE_V5_AS_ONE: &str = "table to UDP, v5, 16 messages as one";
pub(crate) const SOFTFLOWD: &str = "softflowd, v5";
pub(crate) const SOFTFLOWD_AFTER: &str = "softflowd, v5, after reading";
pub(crate) const SOFTFLOWD_SILENT: &str = "softflowd, no collector";

/// With the fields of all groups.
fn with_all(config: SessionConfig) -> SessionConfig {
    SessionConfig { choice: Choice::of(groups::all()), ..config }
}

fn subjects(alone: bool) -> Vec<Subject> {
    let udp = |protocol| SessionConfig::new(protocol, SYSTEM_START);
    let stream = SessionConfig::reliable(SYSTEM_START);
    let mut all = vec![
        (ENCODE, What::Encode(udp(Protocol::Ipfix))),
        (ENCODE_LARGE, What::Encode(SessionConfig { max_message: 65_535, ..stream.clone() })),
        ("encode IPFIX, as over TCP", What::Encode(stream)),
        ("encode v9", What::Encode(udp(Protocol::V9))),
        (ENCODE_ALL, What::Encode(with_all(udp(Protocol::Ipfix)))),
        ("encode v9, all groups", What::Encode(with_all(udp(Protocol::V9)))),
        ("encode v5", What::Encode(udp(Protocol::V5))),
        (UDP, What::Send(Transport::Udp, Protocol::Ipfix)),
        ("UDP, v9", What::Send(Transport::Udp, Protocol::V9)),
        ("UDP, v5", What::Send(Transport::Udp, Protocol::V5)),
        ("TCP, IPFIX", What::Send(Transport::Tcp, Protocol::Ipfix)),
        ("TLS 1.3, IPFIX", What::Send(Transport::Tls, Protocol::Ipfix)),
        ("table to UDP, IPFIX", What::Table(Protocol::Ipfix, 1)),
        ("table to UDP, v9", What::Table(Protocol::V9, 1)),
        (TABLE_V5, What::Table(Protocol::V5, 1)),
        ("table to UDP, IPFIX, 16 messages as one", What::Table(Protocol::Ipfix, MOST_SEGMENTS)),
        (TABLE_V5_AS_ONE, What::Table(Protocol::V5, MOST_SEGMENTS)),
    ];
    if !alone {
        all.extend([
            (SOFTFLOWD, What::Other(others::Program::Softflowd)),
            (SOFTFLOWD_AFTER, What::Other(others::Program::SoftflowdAfter)),
            (SOFTFLOWD_SILENT, What::Other(others::Program::SoftflowdSilent)),
            ("pmacctd nfprobe, v5", What::Other(others::Program::Nfprobe)),
            ("nfpcapd, into a file", What::Other(others::Program::Nfpcapd)),
        ]);
    }
    all.into_iter().map(|(name, what)| Subject { name, turns: Vec::new(), what }).collect()
}

/// Measures; prints tables if asked to.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    let records = flows::records();
    let others = Others::new(options.flows)?;
    let mut table = Full::new(options.flows)?;
    let mut subjects = subjects(options.alone);
    // The first round warms caches up and does not count.
    for round in 0..=options.rounds {
        for subject in &mut subjects {
            let turn = match &subject.what {
                What::Encode(config) => encode::turn(config, &records, options.records)?,
                What::Send(transport, protocol) => {
                    send::turn(*transport, *protocol, &records, options.records)?
                }
                What::Table(protocol, segments) => table.turn(*protocol, *segments)?,
                What::Other(program) => others.turn(*program)?,
            };
            if round > 0 {
                subject.turns.push(turn);
            }
        }
    }
    if tables {
        print!("{}", report::text(&subjects));
    }
    Ok(report::json(&subjects))
}
