//! The packets of capture files through the parser's build for the host: no root, no kernel.

use std::io::{self, BufWriter, Stdout, Write};

use flowxdp_common::{observation::Observation, reason::NotReplayed};
use flowxdp_ebpf::{
    frame::Slice,
    observe::{observe, observe_inside},
};

use super::{
    Options,
    filter::{Filter, not_replayed},
    line::{self, Source},
    observed::Link,
    tally::Tally,
};
use crate::{
    capture::{CaptureError, CaptureFile, Frame, Reader, to_ethernet},
    config::Tunnels,
    names::{Namer, Said},
    output,
};

/// LINKTYPE_NFLOG: an attribute of the packet holds the IP packet.
const NFLOG: u32 = 239;

/// Octets of the Ethernet header that stands for another link header.
const ETHERNET: u32 = 14;

struct Explaining {
    filter: Filter,
    /// Names of the payloads, where they are asked for.
    namer: Option<Namer>,
    /// Packets that say a name are explained, and no others.
    said_alone: bool,
    /// Further ports of VXLAN where tunnels are opened.
    inside: Option<Vec<u16>>,
    json: bool,
    /// Several files are explained, so that each line names its own.
    several: bool,
    out: BufWriter<Stdout>,
    tally: Tally,
    /// The packet as an Ethernet frame, where it was captured as another one.
    ethernet: Vec<u8>,
}

/// Explains the packets of the files, in the order given; the summary is on stderr.
///
/// # Errors
///
/// Files that cannot be read to their end, in one line, after all others; stdout that takes no more.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let mut explaining = Explaining {
        filter: Filter::new(&options.filtering),
        namer: options.names.then(Namer::default),
        said_alone: options.names && !options.filtering.chooses(),
        inside: (options.tunnels == Tunnels::Inner).then(|| options.vxlan_ports.clone()),
        json: options.json,
        several: options.file.len() > 1,
        out: BufWriter::new(io::stdout()),
        tally: Tally::default(),
        ethernet: Vec::new(),
    };
    let mut faults = Vec::new();
    let mut written = Ok(());
    for path in &options.file {
        match CaptureFile::open(path).and_then(CaptureFile::read) {
            Ok(mut reader) => match explaining.file(&mut reader) {
                Ok(fault) => faults.extend(fault.map(|fault| fault.to_string())),
                Err(error) => {
                    written = Err(error);
                    break;
                }
            },
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    let written = written.and_then(|()| explaining.out.flush());
    if matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe) {
        return Ok(());
    }
    output::written(written)?;
    // A summary that cannot be written is no failure.
    drop(writeln!(io::stderr(), "{}", explaining.tally));
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

impl Explaining {
    /// Explains the packets of a file; the inner error is the file's.
    fn file(&mut self, reader: &mut Reader) -> io::Result<Option<CaptureError>> {
        let name = reader.name().to_owned();
        let mut packet = 0;
        loop {
            packet += 1;
            match reader.next() {
                Ok(Some(frame)) => {
                    let name = Some(name.as_str()).filter(|_| self.several || self.json);
                    let source = Source { key: "file", name, packet, time: frame.time_ns };
                    self.frame(source, &frame)?;
                }
                Ok(None) => return Ok(None),
                Err(fault) => return Ok(Some(fault)),
            }
        }
    }

    /// Explains a packet by the verdict that `replay` gives it.
    fn frame(&mut self, source: Source<'_>, frame: &Frame<'_>) -> io::Result<()> {
        if frame.time_ns.is_none() {
            let cause = "its time is before 1970, or at 2^32 seconds or later";
            return self.unparsed(source, cause, NotReplayed::TimeOutOfRange, frame.wire);
        }
        let lengths = match to_ethernet(frame.link, frame.data, frame.wire, &mut self.ethernet) {
            Ok(lengths) => lengths,
            Err(error) => {
                return self.unparsed(source, &error.to_string(), NotReplayed::UnsupportedLink, frame.wire);
            }
        };
        let mut observation = Observation::default();
        let octets = Slice::new(&self.ethernet, lengths.wire);
        match &self.inside {
            Some(ports) => observe_inside(&octets, ports, &mut observation),
            None => observe(&octets, &mut observation),
        }
        self.tally.add(observation.verdict, 1);
        let now = frame.time_ns.unwrap_or(0) / 1_000_000;
        let said = self.namer.as_mut().and_then(|namer| namer.packet(&self.ethernet, &observation, now));
        let says_name = said.as_ref().is_some_and(Said::is_named);
        if if self.said_alone { !says_name } else { !self.filter.passes(&observation) } {
            return Ok(());
        }
        let link = link(frame, lengths.captured);
        let line = line::parsed(source, &observation, link, said.as_ref(), self.json)?;
        self.print(&line)
    }

    fn unparsed(
        &mut self,
        source: Source<'_>,
        cause: &str,
        reason: NotReplayed,
        wire: u32,
    ) -> io::Result<()> {
        let verdict = not_replayed(reason);
        self.tally.add(verdict, 1);
        if self.said_alone || !self.filter.passes_unparsed(verdict) {
            return Ok(());
        }
        let line = line::unparsed(source, cause, verdict, wire, self.json)?;
        self.print(&line)
    }

    fn print(&mut self, line: &str) -> io::Result<()> {
        self.tally.lines += 1;
        writeln!(self.out, "{line}")
    }
}

/// The link header that the packet was captured with: the octets that `captured` has not, but for an Ethernet
/// header that stands for them. An NFLOG packet's octets are counted from the IP packet in it.
fn link(frame: &Frame<'_>, captured: u32) -> Link {
    let whole = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
    let length =
        if frame.link == NFLOG { 0 } else { whole.saturating_sub(captured.saturating_sub(ETHERNET)) };
    if frame.link == Link::ETHERNET.number { Link::ETHERNET } else { Link { number: frame.link, length } }
}
