//! `flowxdp collect`: a small collector, for the demonstration and for people who have none at hand.
//!
//! socket → header → stream → decode → record → a row of the table or a line of JSON

mod complaints;
mod decode;
mod header;
mod json;
mod legacy;
mod record;
mod sequence;
mod socket;
mod streams;
mod table;
mod templates;
mod totals;
mod value;

use std::future::Future;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use anyhow::Context as _;
use flowxdp_core::clock::{MILLISECOND, SECOND};
use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock;
use crate::collector_url::ListenUrl;
use header::Header;
use record::Record;
use streams::Streams;

pub use socket::bind;
pub use totals::{Summary, Totals};

/// Messages that are taken at most between two looks at the signals and two flushes of the output, and
/// nanoseconds after which no further one is taken.
const BATCH: usize = 256;
const BATCH_TIME: u64 = 50 * MILLISECOND;
/// Nanoseconds after the stop in which the socket's buffer is still read.
const LAST_TIME: u64 = 2 * SECOND;

/// Options of `flowxdp collect`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to listen, like udp://0.0.0.0:4739 or udp://[::1]:2055; port 0 takes a free one
    #[arg(long, value_name = "URL")]
    pub listen: ListenUrl,
    /// Print one JSON object a line instead of a table
    ///
    /// Keys are IANA's element names, times are milliseconds since 1970, addresses and octet arrays (in
    /// hexadecimal) are text. Records of options templates have "optionsTemplate": true, and in "scope" the
    /// names of the scope fields.
    #[arg(long)]
    pub json: bool,
}

/// How flows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rows of a table.
    Table,
    /// Lines of JSON.
    Json,
}

/// Runs the command: flows on stdout until SIGINT or SIGTERM, then totals on stderr.
///
/// # Errors
/// When the address cannot be listened on, or stdout cannot be written to. A pipe whose reader has gone
/// is the end, and no error.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let socket = bind(&options.listen).await?;
    let format = if options.json { Format::Json } else { Format::Table };
    match collect(&socket, format, io::stdout(), stop).await {
        Ok(summary) => {
            // A stderr that takes no line is no failure.
            let _ = write!(io::stderr(), "{summary}");
            Ok(())
        }
        Err(error) if is_broken_pipe(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Receives on `socket` and writes flows to `out` until `stop` is ready; gives the totals.
///
/// # Errors
/// When the socket or `out` fails.
pub async fn collect(
    socket: &UdpSocket,
    format: Format,
    out: impl Write,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Summary> {
    let mut collector = Collector {
        streams: Streams::default(),
        format,
        table: table::Table::default(),
        out: BufWriter::with_capacity(64 << 10, out),
    };
    let mut buffer = vec![0; 65_536];
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            ready = socket.readable() => ready.context("cannot wait for messages")?,
        }
        let until = clock::monotonic().saturating_add(BATCH_TIME);
        collector.drain(|buffer| socket.try_recv_from(buffer), &mut buffer, until)?;
        // Between two batches another task and the signals get their turn.
        tokio::task::yield_now().await;
    }
    // Messages that arrived before the end belong to the totals. The runtime may not know of them yet.
    let raw = std::net::UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
    let until = clock::monotonic().saturating_add(LAST_TIME);
    while collector.drain(|buffer| raw.recv_from(buffer), &mut buffer, until)? {
        if clock::monotonic() >= until {
            log::warn!("stopped with messages left unread in the socket's buffer");
            break;
        }
    }
    let dropped = socket::dropped(socket);
    Ok(Summary { dropped, ..collector.streams.summary() })
}

/// The state between two messages.
struct Collector<W: Write> {
    streams: Streams,
    format: Format,
    table: table::Table,
    out: BufWriter<W>,
}

impl<W: Write> Collector<W> {
    /// Takes at most [`BATCH`] messages that `receive` has, none after `until`, and shows them at once; says
    /// whether there may be more.
    fn drain(
        &mut self,
        receive: impl Fn(&mut [u8]) -> io::Result<(usize, SocketAddr)>,
        buffer: &mut [u8],
        until: u64,
    ) -> anyhow::Result<bool> {
        let mut more = true;
        for _ in 0..BATCH {
            let (length, from) = match receive(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    more = false;
                    break;
                }
                Err(error) => return Err(error).context("cannot receive"),
            };
            let octets = buffer.get(..length).unwrap_or_default();
            let now = clock::monotonic();
            self.message(plain(from), octets, now)?;
            if now >= until {
                break;
            }
        }
        self.out.flush().map_err(unwritten)?;
        Ok(more)
    }

    fn message(&mut self, exporter: SocketAddr, octets: &[u8], now: u64) -> anyhow::Result<()> {
        let Some((header, message)) = self.streams.take(exporter, octets, now)? else { return Ok(()) };
        let exporter = exporter.to_string();
        for record in &message.records {
            self.show(&exporter, &header, record).map_err(unwritten)?;
        }
        Ok(())
    }

    fn show(&mut self, exporter: &str, header: &Header, record: &Record) -> io::Result<()> {
        match self.format {
            Format::Table => self.table.write(&mut self.out, exporter, header, record),
            Format::Json => json::write(&mut self.out, exporter, header, record),
        }
    }
}

/// An IPv4 exporter on a socket for both versions, by its IPv4 address.
fn plain(from: SocketAddr) -> SocketAddr {
    match from {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(from.ip().to_canonical(), from.port())
        }
        _ => from,
    }
}

fn unwritten(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("cannot write the flows")
}

#[cfg(test)]
mod tests;
