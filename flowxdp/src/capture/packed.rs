//! The octets of a capture as its format reads them: as they are, or unpacked from gzip or zstd.
//!
//! The first octets tell the packing, not the file's name. Memory is bounded whatever the octets are:
//! 32 KiB of window for gzip, [`ruzstd::decoding::DEFAULT_MAX_WINDOW_SIZE`] for zstd.

use std::cell::Cell;
use std::io::{self, BufReader, Chain, Cursor, ErrorKind, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::Fault;
use super::zstd::Zstd;

/// Octets that are unpacked at once.
const UNPACKED: usize = 1 << 16;

/// First octets of a gzip member (RFC 1952 section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The octets read so far of a file, packed ones where it is packed.
pub(super) type Position = Rc<Cell<u64>>;

/// A file, the octets of which are counted as they are read.
pub(super) struct Counted<R> {
    inner: R,
    position: Position,
    /// The file has no more octets.
    ended: Rc<Cell<bool>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.position.set(self.position.get() + read as u64);
        self.ended.set(self.ended.get() || read == 0 && !into.is_empty());
        Ok(read)
    }
}

/// A file with its first octets, which decide its format.
type Whole<R> = Chain<Cursor<Vec<u8>>, Counted<R>>;

enum Octets<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<BufReader<MultiGzDecoder<BufReader<Whole<R>>>>>),
    Zstd(Box<BufReader<Zstd<Whole<R>>>>),
}

/// The unpacked octets of a file.
pub(super) struct Unpacked<R: Read> {
    octets: Octets<R>,
    position: Position,
    ended: Rc<Cell<bool>>,
}

impl<R: Read> Unpacked<R> {
    /// Reads the first octets of `inner`, which tell the packing.
    pub(super) fn new(inner: R) -> Result<Self, Fault> {
        let (position, ended) = (Position::default(), Rc::new(Cell::new(false)));
        let mut counted = Counted { inner, position: Rc::clone(&position), ended: Rc::clone(&ended) };
        let mut first = Vec::with_capacity(4);
        counted.by_ref().take(4).read_to_end(&mut first).map_err(Fault::Io)?;
        let (is_gzip, is_zstd) = (first.starts_with(&GZIP), Zstd::<R>::is_magic(&first));
        let whole = Cursor::new(first).chain(counted);
        let octets = if is_gzip {
            let unpacking = MultiGzDecoder::new(BufReader::with_capacity(UNPACKED, whole));
            Octets::Gzip(Box::new(BufReader::with_capacity(UNPACKED, unpacking)))
        } else if is_zstd {
            Octets::Zstd(Box::new(BufReader::with_capacity(UNPACKED, Zstd::new(whole, Rc::clone(&ended)))))
        } else {
            Octets::Plain(whole)
        };
        Ok(Self { octets, position, ended })
    }

    /// The name of the packing, if there is one.
    pub(super) const fn packing(&self) -> Option<&'static str> {
        match self.octets {
            Octets::Plain(_) => None,
            Octets::Gzip(_) => Some("gzip"),
            Octets::Zstd(_) => Some("zstd"),
        }
    }

    /// Octets of the file read so far, packed ones where it is packed.
    pub(super) fn position(&self) -> Position {
        Rc::clone(&self.position)
    }

    /// The fault of the file behind an error at reading: cut, damaged, or unreadable.
    pub(super) fn fault(&self, error: io::Error) -> Fault {
        // A disk's error has a number, which no unpacker gives.
        match self.packing() {
            Some(packing) if error.raw_os_error().is_none() => {
                if self.ended.get() || error.kind() == ErrorKind::UnexpectedEof {
                    Fault::CutPacked(packing)
                } else {
                    Fault::Packed { packing, error }
                }
            }
            _ => Fault::Io(error),
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.octets {
            Octets::Plain(octets) => octets.read(into),
            Octets::Gzip(octets) => octets.read(into),
            Octets::Zstd(octets) => octets.read(into),
        }
    }
}
