//! The tail of a record: columns that no packet's header has, behind the extension row.
//!
//! ```text
//! application, 4 octets | where the record has a text: its column, 1 octet | its octets
//! ```

/// Octets of a text: what is longer is cut.
pub const MOST: usize = 255;

/// Octets of applicationId (RFC 6759 section 4: an engine and a selector of 3 octets).
pub const APPLICATION: usize = 4;

/// A column of text, of which a record has one at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// The server name of a ClientHello.
    Server,
    /// The host of an HTTP request.
    Host,
    /// A DNS name.
    Dns,
}

impl Text {
    /// All columns, each at its number.
    pub const ALL: [Self; 3] = [Self::Server, Self::Host, Self::Dns];
}

/// Appends a tail to `row`. A text beyond [`MOST`] octets is cut between two characters; an empty one is none.
pub fn write(application: u32, text: Option<(Text, &str)>, row: &mut Vec<u8>) {
    row.extend(application.to_be_bytes());
    if let Some((column, text)) = text.filter(|(_, text)| !text.is_empty()) {
        row.push(column as u8);
        row.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(MOST)]);
    }
}

/// The application of a tail; 0 where there is none.
#[must_use]
pub fn application(tail: &[u8]) -> [u8; APPLICATION] {
    tail.first_chunk().copied().unwrap_or_default()
}

/// The text of a tail with its column.
#[must_use]
pub fn text(tail: &[u8]) -> Option<(Text, &[u8])> {
    let (column, text) = tail.get(APPLICATION..)?.split_first()?;
    Some((*Text::ALL.get(usize::from(*column))?, text))
}

/// Tails one behind the other: as they stand in a batch.
#[derive(Debug, Default)]
pub(super) struct Tails {
    octets: Vec<u8>,
    lengths: Vec<u16>,
    /// Octets and tails at the front that were taken.
    taken: (usize, usize),
}

impl Tails {
    pub(super) fn push(&mut self, tail: &[u8]) {
        let length = u16::try_from(tail.len()).unwrap_or(0);
        self.lengths.push(length);
        self.octets.extend(tail.iter().take(length.into()));
    }

    /// All tails.
    pub(super) fn all(&self) -> TailSlice<'_> {
        let (octets, lengths) = self.taken;
        TailSlice {
            octets: self.octets.get(octets..).unwrap_or_default(),
            lengths: self.lengths.get(lengths..).unwrap_or_default(),
        }
    }

    /// Takes the `count` oldest off.
    pub(super) fn drop_first(&mut self, count: usize) {
        let (first, _) = self.all().split_at(count);
        let (octets, lengths) = self.taken;
        self.taken = (octets + first.octets.len(), lengths + first.lengths.len());
        // Each octet is moved once for one that was taken before it.
        if 2 * self.taken.1 >= self.lengths.len() {
            self.octets.drain(..self.taken.0);
            self.lengths.drain(..self.taken.1);
            self.taken = (0, 0);
        }
    }
}

/// Tails of neighbouring records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TailSlice<'a> {
    octets: &'a [u8],
    lengths: &'a [u16],
}

impl<'a> TailSlice<'a> {
    /// The first `count`, at most as many as there are, and the others.
    pub(crate) fn split_at(self, count: usize) -> (Self, Self) {
        let (front, back) = self.lengths.split_at(count.min(self.lengths.len()));
        let octets = front.iter().copied().map(usize::from).sum();
        let (these, others) = self.octets.split_at_checked(octets).unwrap_or_default();
        (Self { octets: these, lengths: front }, Self { octets: others, lengths: back })
    }

    /// Each tail.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.octets;
        self.lengths.iter().map(move |length| {
            let (tail, behind) = rest.split_at_checked(usize::from(*length)).unwrap_or_default();
            rest = behind;
            tail
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_written_and_cut_at_a_character() {
        for column in Text::ALL {
            let mut tail = Vec::new();
            write(0x0300_01bb, Some((column, "a.example")), &mut tail);
            assert_eq!(
                (application(&tail), text(&tail)),
                ([3, 0, 1, 0xbb], Some((column, &b"a.example"[..])))
            );
            assert!((0..=APPLICATION).all(|end| text(&tail[..end]).is_none()));
        }
        assert_eq!((application(&[]), text(&[]), text(&[0, 0, 0, 0, 3, b'a'])), ([0; 4], None, None));
        let mut tail = Vec::new();
        write(1, Some((Text::Dns, "")), &mut tail);
        assert_eq!(text(&tail), None);
        let mut tail = Vec::new();
        write(1, Some((Text::Dns, &"é".repeat(200))), &mut tail);
        assert_eq!(text(&tail).map(|(_, text)| text.len()), Some(254));
    }

    #[test]
    fn tails_are_taken_in_their_order() {
        let (mut tails, mut pushed, mut taken) = (Tails::default(), 0_u8, 0_u8);
        for step in 0..60 {
            for _ in 0..step % 7 {
                tails.push(&vec![pushed; usize::from(pushed % 5)]);
                pushed = pushed.wrapping_add(1);
            }
            let (first, _) = tails.all().split_at(step % 5);
            for tail in first.iter() {
                assert_eq!(tail, vec![taken; usize::from(taken % 5)]);
                taken = taken.wrapping_add(1);
            }
            tails.drop_first(step % 5);
            assert!(tails.lengths.len() <= 2 * tails.all().lengths.len() + 1);
        }
        assert_eq!(tails.all().iter().count(), usize::from(pushed.wrapping_sub(taken)));
    }
}
