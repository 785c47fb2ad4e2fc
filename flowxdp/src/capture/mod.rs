//! Capture files: pcap and pcapng in, frames with their time and lengths out.
//!
//! Pure: nothing here knows a kernel, a clock or an async runtime. A [`Reader`] takes any
//! [`Read`] and holds one packet at a time, so that memory does not grow with the file;
//! [`to_ethernet`] gives the packets of other link types the Ethernet header that the metering
//! process expects.
//!
//! Files packed with gzip or zstd are unpacked as they are read. Formats: draft-ietf-opsawg-pcap,
//! draft-ietf-opsawg-pcapng. The crate pcap-parser is not used: that crate holds a whole block in memory,
//! skipped ones included, does not know the obsolete Packet Block, and its errors have no position in the
//! file.

mod error;
mod file;
mod interface;
pub mod link;
mod packed;
mod pcap;
mod pcapng;
mod source;
#[cfg(test)]
mod tests;
mod zstd;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

pub use error::{CaptureError, Fault};
pub use file::CaptureFile;
pub use link::{Lengths, to_ethernet};
use source::Source;

/// The most octets of one packet that a file may hold, the limit of libpcap and Wireshark.
///
/// The limit bounds the allocation that a hostile length can cause.
pub const MAX_CAPTURED: u32 = 262_144;

/// The first time that no export time can say, nanoseconds since 1970: 2^32 seconds (RFC 7011 section 3.1).
const END_OF_TIME: u64 = (1 << 32) * 1_000_000_000;

/// A time in nanoseconds since 1970, if an export time can say it.
const fn in_range(time_ns: u64) -> Option<u64> {
    if time_ns < END_OF_TIME { Some(time_ns) } else { None }
}

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where its record or block begins in the capture, octets from 0.
    pub offset: u64,
    /// Capture time, nanoseconds since 1970. 0 where the file has none (Simple Packet Block), `None` before
    /// 1970 or at 2^32 seconds or later.
    pub time_ns: Option<u64>,
    /// Octets that the packet had on the wire; never fewer than were captured.
    pub wire: u32,
    /// LINKTYPE value, as registered by the Tcpdump Group.
    pub link: u32,
    /// The captured octets, link header first.
    pub data: &'a [u8],
}

/// A format's fields of a packet beside its octets.
#[derive(Clone, Copy)]
struct Packet {
    time_ns: Option<u64>,
    wire: u32,
    link: u32,
}

enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

/// Reads a capture file packet by packet.
pub struct Reader<R: Read = BufReader<File>> {
    file: String,
    source: Source<R>,
    format: Format,
    data: Vec<u8>,
    /// Octets of a regular file, as it is on disk.
    octets: Option<u64>,
    /// Set by the end of the file and by an error: both are said once.
    done: bool,
}

impl Reader {
    /// Opens the capture file at `path`, `-` for standard input, and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, is no capture, or is of a version that is not supported.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        CaptureFile::open(path)?.read()
    }
}

impl<R: Read> Reader<R> {
    /// Reads a capture from `inner`; errors call it `name`.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(name: impl Into<String>, inner: R) -> Result<Self, CaptureError> {
        let file = name.into();
        let mut source = match Source::new(inner) {
            Ok(source) => source,
            Err(fault) => return Err(CaptureError::At { file, offset: 0, packed: false, fault }),
        };
        match format(&mut source) {
            Ok(format) => Ok(Self { file, source, format, data: Vec::new(), octets: None, done: false }),
            Err(fault) => {
                Err(CaptureError::At { file, offset: 0, packed: source.packing().is_some(), fault })
            }
        }
    }

    /// The file's name, as errors have it.
    pub fn name(&self) -> &str {
        &self.file
    }

    /// Octets of a regular file, as it is on disk.
    pub const fn octets(&self) -> Option<u64> {
        self.octets
    }

    /// Whether the file is packed with gzip or zstd.
    pub const fn is_packed(&self) -> bool {
        self.source.packing().is_some()
    }

    /// Octets of the file read so far, packed ones where it is packed.
    pub fn position(&self) -> u64 {
        self.source.position().get()
    }

    /// The next packet, or `None` at the end of the file.
    ///
    /// # Errors
    /// The fault, with the file's name and the octet at which the packet or block begins.
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
        match read {
            Ok(Some(Packet { time_ns, wire, link })) => {
                let captured = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
                let (offset, wire) = (self.source.mark(), wire.max(captured));
                Ok(Some(Frame { offset, time_ns, wire, link, data: &self.data }))
            }
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Err(fault) => {
                self.done = true;
                let (offset, packed) = (self.source.mark(), self.is_packed());
                Err(CaptureError::At { file: self.file.clone(), offset, packed, fault })
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
