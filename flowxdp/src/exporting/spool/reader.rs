//! Whole messages out of one file, in order.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use flowxdp_core::exporting::spool::{Content, Definition, HEADER, Start, Templates, start};

use super::Place;

/// Octets that are read at once, where there are as many: any message fits.
const CHUNK: u64 = 1 << 16;

/// The next message of a file, or its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// A message, which [`Reader::bytes`] gives.
    Message(Content),
    /// The end, right behind a message.
    End,
    /// A message that has no end.
    Torn,
    /// Octets that are no message.
    Foreign,
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    place: Place,
    /// Octets of the last message.
    last: usize,
    templates: Templates,
    /// The templates of one domain.
    definitions: Option<(u32, Arc<[Definition]>)>,
    /// Octets of the file from `chunk_at` on.
    chunk: Vec<u8>,
    chunk_at: u64,
}

impl Reader {
    /// Reads segment `number` from its beginning.
    pub(super) fn new(file: File, number: u64) -> Self {
        Self {
            file,
            place: Place { segment: number, end: 0 },
            last: 0,
            templates: Templates::default(),
            definitions: None,
            chunk: Vec::new(),
            chunk_at: 0,
        }
    }

    /// The end of the last message that was read.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Reads the next message in the first `end` octets of the file.
    pub(super) fn next(&mut self, end: u64) -> io::Result<Next> {
        let left = end.saturating_sub(self.place.end);
        let begin = start(self.fill(HEADER, left)?, left);
        let length = match begin {
            Start::Message(length) => length,
            Start::End => return Ok(Next::End),
            Start::Torn => return Ok(Next::Torn),
            Start::Foreign => return Ok(Next::Foreign),
        };
        if self.fill(length, left)?.len() < length {
            // The file is shorter than it was.
            return Ok(Next::Torn);
        }
        (self.last, self.place.end) = (length, self.place.end + length as u64);
        let content = {
            let bytes = bytes(&self.chunk, self.chunk_at, self.place.end - length as u64, length);
            self.templates.read(bytes)
        };
        if content.has_templates {
            self.definitions = None;
        }
        Ok(Next::Message(content))
    }

    /// The message that was read last.
    pub(super) fn bytes(&self) -> &[u8] {
        bytes(&self.chunk, self.chunk_at, self.place.end - self.last as u64, self.last)
    }

    /// The templates of `domain` so far.
    pub(super) fn definitions(&mut self, domain: u32) -> Arc<[Definition]> {
        match &self.definitions {
            Some((of, definitions)) if *of == domain => Arc::clone(definitions),
            _ => {
                let definitions: Arc<[Definition]> = self.templates.definitions(domain).into();
                self.definitions = Some((domain, Arc::clone(&definitions)));
                definitions
            }
        }
    }

    /// The next octets, `want` of them unless the file or its `left` octets end before.
    ///
    /// No octet behind those is read: a later write replaces the octets that a failed one left there.
    fn fill(&mut self, want: usize, left: u64) -> io::Result<&[u8]> {
        let want = usize::try_from(left).map_or(want, |left| want.min(left));
        if bytes(&self.chunk, self.chunk_at, self.place.end, want).len() < want {
            let size = usize::try_from(left.min(CHUNK)).unwrap_or(want);
            self.chunk.resize(size, 0);
            self.chunk_at = self.place.end;
            let mut filled = 0;
            while filled < size {
                match self.file.read_at(&mut self.chunk[filled..], self.chunk_at + filled as u64) {
                    Ok(0) => break,
                    Ok(more) => filled += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.chunk.clear();
                        return Err(error);
                    }
                }
            }
            self.chunk.truncate(filled);
        }
        Ok(bytes(&self.chunk, self.chunk_at, self.place.end, want))
    }
}

/// At most `length` octets of the file from `at` on, out of a chunk that begins at `chunk_at`.
fn bytes(chunk: &[u8], chunk_at: u64, at: u64, length: usize) -> &[u8] {
    let from = usize::try_from(at.saturating_sub(chunk_at)).unwrap_or(usize::MAX);
    let rest = chunk.get(from..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}
