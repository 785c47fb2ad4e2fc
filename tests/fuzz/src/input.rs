//! How the octets of an input become a frame: two numbers of 16 bits, then the captured octets.

/// A frame of a fuzzer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// The captured octets.
    pub octets: &'a [u8],
    /// Octets on the wire.
    pub wire: u32,
    /// Where to cut it for a second look, at most its end.
    pub cut: usize,
}

impl<'a> Input<'a> {
    /// Reads an input: octets on the wire beyond the captured ones, where to cut, and those octets.
    #[must_use]
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let (&[a, b, c, d], octets) = data.split_first_chunk()?;
        let wire = u32::try_from(octets.len()).ok()? + u32::from(u16::from_le_bytes([a, b]));
        let cut = usize::from(u16::from_le_bytes([c, d])) % (octets.len() + 1);
        Some(Self { octets, wire, cut })
    }

    /// The input for a frame; `None` if it cannot be said.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let beyond = u16::try_from((self.wire as usize).checked_sub(self.octets.len())?).ok()?;
        let cut = u16::try_from(self.cut).ok()?;
        let mut data = [beyond.to_le_bytes(), cut.to_le_bytes()].concat();
        data.extend(self.octets);
        Some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::Input;

    #[test]
    fn what_is_encoded_is_decoded() {
        let input = Input { octets: b"frame", wire: 65_540, cut: 5 };
        let data = input.encode().unwrap();
        assert_eq!(Input::decode(&data), Some(input));
        assert_eq!(Input { octets: b"frame", wire: 65_541, cut: 0 }.encode(), None);
        assert_eq!(Input::decode(b"abc"), None);
    }
}
