//! The end of a data record: fields of the tail, behind those that are copied from rows.

use crate::elements::Source;
use crate::elements::options::VARIABLE;
use crate::record::tail::{self, APPLICATION, MOST, Text};

/// A length in front of a value that is shorter has one octet; a longer value has this one, and two more (RFC 7011
/// section 7).
const LONG: u8 = u8::MAX;

/// A field of the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Application,
    /// A text that is cut or filled up with zeros to so many octets.
    Fixed(Text, usize),
    /// A text with its length in front of it.
    Variable(Text),
}

/// The fields of the tail in a data record, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Vec<Field>);

impl Tail {
    /// Adds the field of a source of the tail; gives the octets that it takes at least. Other sources have none.
    pub(crate) fn add(&mut self, source: &Source, length: usize) -> usize {
        let field = match source {
            Source::Application => Field::Application,
            Source::Text(text) if length == usize::from(VARIABLE) => Field::Variable(*text),
            Source::Text(text) => Field::Fixed(*text, length),
            _ => return 0,
        };
        self.0.push(field);
        field.shortest()
    }

    /// Whether a template has no field of the tail.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether data records differ in length.
    pub(crate) fn is_variable(&self) -> bool {
        self.0.iter().any(|field| matches!(field, Field::Variable(_)))
    }

    /// Octets that a data record has at most beyond the shortest one.
    pub(crate) fn most_beyond_shortest(&self) -> usize {
        // The length of the longest text has the long form.
        if self.is_variable() { MOST + 2 } else { 0 }
    }

    /// Octets of the fields in the data record of this tail.
    pub(crate) fn length(&self, tail: &[u8]) -> usize {
        self.0.iter().map(|field| field.length(tail)).sum()
    }

    /// Octets of the fields that `octets` begin with; `None` where these are cut.
    pub(crate) fn read(&self, octets: &[u8]) -> Option<usize> {
        let mut end = 0;
        for field in &self.0 {
            end += match field {
                Field::Variable(_) => prefixed(octets.get(end..)?)?,
                fixed => fixed.shortest(),
            };
        }
        (end <= octets.len()).then_some(end)
    }

    /// Writes the fields over zeros; gives their octets. Nothing is written where there is no room.
    pub(crate) fn write(&self, tail: &[u8], octets: &mut [u8]) -> usize {
        let mut rest = octets;
        let mut written = 0;
        for field in &self.0 {
            let length = field.length(tail);
            let Some((place, behind)) = std::mem::take(&mut rest).split_at_mut_checked(length) else { break };
            field.write(tail, place);
            (rest, written) = (behind, written + length);
        }
        written
    }
}

impl Field {
    const fn shortest(self) -> usize {
        match self {
            Self::Application => APPLICATION,
            Self::Fixed(_, length) => length,
            Self::Variable(_) => 1,
        }
    }

    fn length(self, tail: &[u8]) -> usize {
        match self {
            Self::Variable(text) => {
                let length = of(tail, text).len();
                if length < usize::from(LONG) { 1 + length } else { 3 + length }
            }
            fixed => fixed.shortest(),
        }
    }

    /// Writes the field into as many octets as it has.
    fn write(self, tail: &[u8], place: &mut [u8]) {
        match self {
            Self::Application => place.copy_from_slice(&tail::application(tail)),
            Self::Fixed(text, _) => {
                let text = of(tail, text);
                place.iter_mut().zip(text).for_each(|(octet, value)| *octet = *value);
            }
            Self::Variable(text) => {
                let text = of(tail, text);
                let (prefix, value) = place.split_at_mut(place.len() - text.len());
                value.copy_from_slice(text);
                // At most 255: the long form has it in its last octet, and zeros are there.
                if let Some(last) = prefix.last_mut() {
                    *last = u8::try_from(text.len()).unwrap_or(LONG);
                }
                if prefix.len() > 1
                    && let Some(first) = prefix.first_mut()
                {
                    *first = LONG;
                }
            }
        }
    }
}

/// The text of a tail in a column; empty where it has another or none.
fn of(tail: &[u8], column: Text) -> &[u8] {
    tail::text(tail).filter(|(of, _)| *of == column).map_or(&[], |(_, text)| text)
}

/// Octets of the length and the value that `octets` begin with.
fn prefixed(octets: &[u8]) -> Option<usize> {
    match *octets {
        [LONG, high, low, ..] => Some(3 + usize::from(u16::from_be_bytes([high, low]))),
        [LONG, ..] | [] => None,
        [length, ..] => Some(1 + usize::from(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(length: usize) -> Tail {
        let mut tail = Tail::default();
        tail.add(&Source::Application, APPLICATION);
        tail.add(&Source::Text(Text::Host), length);
        tail
    }

    /// The octets of the fields for a tail.
    fn written(fields: &Tail, text: Option<(Text, &str)>) -> Vec<u8> {
        let mut tail = Vec::new();
        tail::write(0x0300_0050, text, &mut tail);
        let mut octets = vec![0; fields.length(&tail)];
        assert_eq!(fields.write(&tail, &mut octets), octets.len());
        octets
    }

    #[test]
    fn a_text_of_variable_length_has_its_length_in_front_in_one_octet_or_three() {
        let fields = fields(VARIABLE.into());
        for length in [1, 253, 254, 255] {
            let text = "x".repeat(length);
            let octets = written(&fields, Some((Text::Host, &text)));
            let prefix: &[u8] = if length < 255 { &[u8::try_from(length).unwrap()] } else { &[255, 0, 255] };
            assert_eq!(octets, [&[3, 0, 0, 80], prefix, text.as_bytes()].concat());
            assert!(octets.len() <= 5 + fields.most_beyond_shortest());
            assert_eq!(fields.read(&[&octets[..], &[1, 2]].concat()), Some(octets.len()));
            assert!((0..octets.len()).all(|end| fields.read(&octets[..end]).is_none()));
        }
        assert_eq!(written(&fields, Some((Text::Dns, "another"))), [3, 0, 0, 80, 0]);
    }

    #[test]
    fn a_text_of_fixed_length_is_filled_up_with_zeros_or_cut() {
        let fields = fields(4);
        for (text, expected) in [("abcde", b"\x03\0\0\x50abcd"), ("ab", b"\x03\0\0\x50ab\0\0")] {
            assert_eq!(written(&fields, Some((Text::Host, text))), expected);
        }
        assert_eq!((fields.is_variable(), fields.most_beyond_shortest()), (false, 0));
        assert_eq!((fields.read(&[9; 8]), fields.read(&[9; 7])), (Some(8), None));
    }
}
