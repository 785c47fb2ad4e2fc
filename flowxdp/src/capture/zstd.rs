//! zstd (RFC 8878): frames behind each other, skippable ones left out, checksums compared.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// First octets of a frame (section 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// First octets of a skippable frame, but for the lower half of the first (section 3.1.2).
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// A last block without content (section 3.1.1.2), and room for a checksum.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Where in the file the reader is.
enum Place {
    /// In front of a frame, or at the end.
    Between,
    /// Inside one.
    Frame,
    /// Behind the last one, or at an error.
    End,
}

/// Unpacks the frames of `source`, one block at a time.
pub(super) struct Zstd<R> {
    source: R,
    /// The file has no more octets.
    ended: Rc<Cell<bool>>,
    decoder: FrameDecoder,
    place: Place,
    /// The error behind the last octets that could be unpacked.
    cut: Option<io::Error>,
}

impl<R> Zstd<R> {
    /// Whether a file that begins so is packed with zstd.
    pub(super) fn is_magic(first: &[u8]) -> bool {
        first == MAGIC
            || matches!(first, [low, rest @ ..] if low & 0xf0 == SKIPPABLE[0] && rest == &SKIPPABLE[1..])
    }
}

impl<R: Read> Zstd<R> {
    /// `ended` is set by `source`, at its end.
    pub(super) fn new(source: R, ended: Rc<Cell<bool>>) -> Self {
        Self { source, ended, decoder: FrameDecoder::new(), place: Place::Between, cut: None }
    }

    /// Begins the next frame that has content; `false` at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            let mut first = Vec::with_capacity(1);
            if self.source.by_ref().take(1).read_to_end(&mut first)? == 0 {
                return Ok(false);
            }
            match self.decoder.reset(first.chain(&mut self.source)) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn unpack(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.place {
                Place::End => return Ok(0),
                Place::Between => {
                    self.place = if self.begin()? { Place::Frame } else { Place::End };
                }
                Place::Frame => {
                    while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                        self.block()?;
                    }
                    match self.decoder.read(into)? {
                        0 => self.close()?,
                        read => return Ok(read),
                    }
                }
            }
        }
    }

    /// Unpacks one block. Where the file is cut, the frame is given an end, since the decoder holds a window of
    /// octets back until it has seen one.
    fn block(&mut self) -> io::Result<()> {
        let one = || BlockDecodingStrategy::UptoBlocks(1);
        if let Err(error) = self.decoder.decode_blocks(&mut self.source, one()) {
            let error = io::Error::other(error);
            if !self.ended.get() {
                return Err(error);
            }
            self.decoder.decode_blocks(&LAST_BLOCK[..], one()).map_err(io::Error::other)?;
            self.cut = Some(error);
        }
        Ok(())
    }

    /// The end of a frame: its checksum, if it has one, must be that of its content.
    fn close(&mut self) -> io::Result<()> {
        self.place = Place::Between;
        if let Some(error) = self.cut.take() {
            return Err(error);
        }
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(stored), Some(found)) if stored != found => {
                Err(io::Error::other("the checksum of a frame is not that of its content"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let read = self.unpack(into);
        if read.is_err() {
            self.place = Place::End;
        }
        read
    }
}
