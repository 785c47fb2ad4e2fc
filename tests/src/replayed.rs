//! One replay under the eyes of all judges at once.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::agent::{self, LIMIT};
use crate::books::Books;
use crate::judge::Verdict;
use crate::judge::nfcapd::Nfcapd;
use crate::sniff::{Sniffed, Sniffer};
use crate::truth::Truth;

/// Options that keep every flow of a capture in one record.
pub const ONE_RECORD: [&str; 4] = ["--idle-timeout", "10000h", "--active-timeout", "10000h"];

/// The results of a replay.
pub struct Replayed {
    /// The flows that nfcapd received.
    pub nfcapd: Verdict,
    /// The datagrams on the wire.
    pub sniffed: Sniffed,
    /// The books that were printed.
    pub books: Books,
}

/// Replays files, in one call, into nfcapd with tcpdump beside it.
pub fn replay<P: AsRef<Path>>(files: &[P], protocol: &str, options: &[&str]) -> Result<Replayed> {
    let nfcapd = Nfcapd::start(None)?;
    let sniffer = Sniffer::start(nfcapd.port(), None)?;
    let done = agent::replay(files, &nfcapd.url(), protocol)?.args(options).run(LIMIT)?.success()?;
    let sniffed = sniffer.stop()?;
    Ok(Replayed { nfcapd: nfcapd.stop().context("nfcapd")?, sniffed, books: agent::books(&done)? })
}

impl Replayed {
    /// The books must balance, agree with the truth on every reason, and leave nothing unexported.
    pub fn books_are(&self, truth: &Truth) -> Result<()> {
        let books = &self.books;
        books.all_exported()?;
        ensure!(books.seen.packets == truth.frames, "{} of {} frames seen", books.seen.packets, truth.frames);
        let exported = (books.exported.packets, books.exported.octets);
        let metered = (truth.metered_packets, truth.metered_octets);
        ensure!(exported == metered, "packets and octets: exported {exported:?}, true {metered:?}");
        for (reason, packets) in &truth.ignored {
            let row = books.ignored.get(reason).with_context(|| format!("no reason {reason}: {books:?}"))?;
            ensure!(row.packets == *packets, "{reason}: {} packets ignored, true {packets}", row.packets);
        }
        for (reason, row) in &books.ignored {
            let known = truth.ignored.contains_key(reason);
            ensure!(
                known || row.packets == 0,
                "{} packets ignored as {reason}, which is no reason",
                row.packets
            );
        }
        Ok(())
    }
}
