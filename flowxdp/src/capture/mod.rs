//! Capture files: pcap and pcapng in, frames with their time and lengths out.
//!
//! Pure: nothing here knows a kernel, a clock or an async runtime. A [`Reader`] takes any
//! [`Read`] and holds one packet at a time, so that memory does not grow with the file;
//! [`to_ethernet`] gives the packets of other link types the Ethernet header that the metering
//! process expects.
//!
//! Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. The crate pcap-parser is not used:
//! it must hold a whole block, skipped ones included, it does not know the obsolete Packet Block,
//! and its errors do not say where in the file they happened.

mod error;
mod interface;
pub mod link;
mod pcap;
mod pcapng;
mod source;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

pub use error::{CaptureError, Fault};
pub use link::{Lengths, to_ethernet};
use source::Source;

/// The most octets of one packet that a file may hold, the limit of libpcap and Wireshark.
///
/// It bounds what a hostile length can make the reader allocate.
pub const MAX_CAPTURED: u32 = 262_144;

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Capture time, nanoseconds since 1970. 0 where the file has none (Simple Packet Block).
    pub time_ns: u64,
    /// Octets that the packet had on the wire; never fewer than were captured.
    pub wire: u32,
    /// LINKTYPE value, as registered by the Tcpdump Group; always one that [`to_ethernet`] takes.
    pub link: u32,
    /// The captured octets, link header first.
    pub data: &'a [u8],
}

/// What a format reads of a packet beside its octets.
#[derive(Clone, Copy)]
struct Packet {
    time_ns: u64,
    wire: u32,
    link: u32,
}

enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

/// Reads a capture file packet by packet.
pub struct Reader<R = BufReader<File>> {
    file: String,
    source: Source<R>,
    format: Format,
    data: Vec<u8>,
    /// Set by the end of the file and by an error: both are said once.
    done: bool,
}

impl Reader {
    /// Opens the capture file at `path` and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, is no capture, or is of a version that is not supported.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, BufReader::with_capacity(1 << 16, file)),
            Err(error) => Err(CaptureError::Open { file: name, error }),
        }
    }
}

impl<R: Read> Reader<R> {
    /// Reads a capture from `inner`; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(name: impl Into<String>, inner: R) -> Result<Self, CaptureError> {
        let file = name.into();
        let mut source = Source::new(inner);
        match format(&mut source) {
            Ok(format) => Ok(Self { file, source, format, data: Vec::new(), done: false }),
            Err(fault) => Err(CaptureError::At { file, offset: 0, fault }),
        }
    }

    /// The next packet, or `None` at the end of the file.
    ///
    /// # Errors
    /// What is wrong, with the file's name and the octet at which the packet or block begins.
    /// All whole packets in front of it were returned before; after an error there are no more.
    #[expect(
        clippy::should_implement_trait,
        reason = "a frame borrows from the reader, no Iterator can say so"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if self.done {
            return Ok(None);
        }
        let read = match &mut self.format {
            Format::Pcap(header) => header.next(&mut self.source, &mut self.data),
            Format::Pcapng(section) => section.next(&mut self.source, &mut self.data),
        };
        let read = read.and_then(|packet| match packet {
            Some(Packet { link, .. }) if !link::is_supported(link) => Err(Fault::LinkType { link }),
            other => Ok(other),
        });
        match read {
            Ok(Some(Packet { time_ns, wire, link })) => {
                let captured = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
                Ok(Some(Frame { time_ns, wire: wire.max(captured), link, data: &self.data }))
            }
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Err(fault) => {
                self.done = true;
                Err(CaptureError::At { file: self.file.clone(), offset: self.source.mark(), fault })
            }
        }
    }
}

/// Reads the magic number and the header that it announces.
fn format<R: Read>(source: &mut Source<R>) -> Result<Format, Fault> {
    let mut magic = [0; 4];
    let got = source.fill(&mut magic)?;
    if got < magic.len() {
        return Err(Fault::NotACapture { begins: magic.get(..got).unwrap_or_default().to_vec() });
    }
    if magic == pcapng::MAGIC {
        return pcapng::Section::open(source).map(Format::Pcapng);
    }
    match pcap::Header::open(magic, source)? {
        Some(header) => Ok(Format::Pcap(header)),
        None => Err(Fault::NotACapture { begins: magic.to_vec() }),
    }
}
