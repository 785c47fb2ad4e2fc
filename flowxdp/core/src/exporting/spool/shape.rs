//! Where in a data record its packets and octets are, as its template says.

use super::be_16;
use super::content::Fault;
use crate::elements;
use crate::record::{RecordTotal, row};

/// A field length that stands for a length in front of each value (RFC 7011 section 7).
const VARIABLE: u16 = 0xffff;
/// A first octet of such a length that says: the length is in the next two.
const LONG: u8 = 0xff;
/// An element number with this bit is followed by the number of its enterprise (RFC 7011 section 3.2).
const ENTERPRISE: u16 = 0x8000;

/// The total that a field adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Nothing,
    Packets,
    Octets,
}

/// The next thing to do in a data record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Fields of a known length that count nothing.
    Skip(usize),
    /// A counter of 1 to 8 octets.
    Read(Count, usize),
    /// A field that says its own length.
    Variable(Count),
}

/// The data records of one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordShape {
    steps: Vec<Step>,
    /// Octets of the shortest record.
    shortest: usize,
}

impl RecordShape {
    /// Reads `count` field specifiers; gives the octets that they take too.
    ///
    /// ```text
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |E|  Information Element ident. |        Field Length           |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |              Enterprise Number, if E is 1                     |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// ```
    ///
    /// RFC 7011 section 3.2.
    pub(super) fn read(specifiers: &[u8], count: u16) -> Result<(Self, usize), Fault> {
        let mut shape = Self { steps: Vec::new(), shortest: 0 };
        let mut at = 0;
        for _ in 0..count {
            let field = specifiers.get(at..at + 4).ok_or(Fault::Template)?;
            let (id, length) = (be_16(&field[..2]), be_16(&field[2..]));
            at += if id & ENTERPRISE == 0 { 4 } else { 8 };
            shape.field(id, length);
        }
        if at > specifiers.len() { Err(Fault::Template) } else { Ok((shape, at)) }
    }

    fn field(&mut self, id: u16, length: u16) {
        let count = count(id);
        self.shortest += if length == VARIABLE { 1 } else { length.into() };
        let step = match (length, count) {
            (VARIABLE, count) => Step::Variable(count),
            (1..=8, Count::Packets | Count::Octets) => Step::Read(count, length.into()),
            // A counter of another length is none (RFC 7011 section 6.2).
            _ => Step::Skip(length.into()),
        };
        match (self.steps.last_mut(), step) {
            (Some(Step::Skip(last)), Step::Skip(more)) => *last += more,
            _ => self.steps.push(step),
        }
    }

    /// Adds the records of a data set, whose header is not in `octets`, to `total`.
    ///
    /// A remainder shorter than the shortest record is padding (RFC 7011 section 3.3.1).
    pub(super) fn count(&self, mut octets: &[u8], total: &mut RecordTotal) -> Result<(), Fault> {
        if self.shortest == 0 {
            return Err(Fault::NoOctets);
        }
        while octets.len() >= self.shortest {
            let (record, rest) = self.record(octets).ok_or(Fault::Record)?;
            octets = rest;
            total.records += 1;
            total.packets = total.packets.saturating_add(record.packets);
            total.octets = total.octets.saturating_add(record.octets);
        }
        Ok(())
    }

    /// The counters of the record that `octets` begin with, and the octets behind it; `None` if the record is
    /// cut.
    fn record<'a>(&self, mut octets: &'a [u8]) -> Option<(RecordTotal, &'a [u8])> {
        let mut record = RecordTotal::default();
        for step in &self.steps {
            let (count, length) = match *step {
                Step::Skip(length) => (Count::Nothing, length),
                Step::Read(count, length) => (count, length),
                Step::Variable(count) => (count, variable(&mut octets)?),
            };
            let (value, rest) = octets.split_at_checked(length)?;
            octets = rest;
            let sum = match count {
                Count::Nothing => continue,
                Count::Packets => &mut record.packets,
                Count::Octets => &mut record.octets,
            };
            *sum = sum.saturating_add(number(value));
        }
        Some((record, octets))
    }
}

/// Takes the length that stands in front of a value: one octet, or 255 and two more.
fn variable(octets: &mut &[u8]) -> Option<usize> {
    let (&first, rest) = octets.split_first()?;
    *octets = rest;
    if first != LONG {
        return Some(first.into());
    }
    let (length, rest) = octets.split_at_checked(2)?;
    *octets = rest;
    Some(be_16(length).into())
}

/// An unsigned number of 1 to 8 octets; another length is none.
fn number(octets: &[u8]) -> u64 {
    match octets.first_chunk() {
        Some(eight) if octets.len() == 8 => u64::from_be_bytes(*eight),
        None => octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)),
        Some(_) => 0,
    }
}

/// The total that element `id` counts for; an enterprise's element counts for none.
fn count(id: u16) -> Count {
    match elements::get(id).map(|element| &element.source) {
        Some(source) if source.is(row::PACKETS) => Count::Packets,
        Some(source) if source.is(row::OCTETS) => Count::Octets,
        _ => Count::Nothing,
    }
}
