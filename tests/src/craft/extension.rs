//! IPv6 extension headers (RFC 8200, RFC 4302); octet 0 is left to the header that follows.

/// An extension header in the making.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its number in the header in front of it.
    pub kind: u8,
    /// Its octets; the first is the next header, filled in later.
    pub octets: Vec<u8>,
    /// A fragment header with an offset: the octets behind it are no header.
    pub later: bool,
    /// The length in a jumbo payload option that comes first.
    pub jumbo: Option<u32>,
}

/// Hop-by-hop, routing or destination options of (`units` + 1) × 8 octets.
fn in_units_of_8(kind: u8, units: u8) -> Extension {
    let mut octets = vec![0; (usize::from(units) + 1) * 8];
    octets[1] = units;
    Extension { kind, octets, later: false, jumbo: None }
}

/// Options made of PadN, as many as it takes.
fn options(kind: u8, units: u8) -> Extension {
    let mut extension = in_units_of_8(kind, units);
    let mut rest = &mut extension.octets[2..];
    while let [code, length, behind @ ..] = rest {
        *code = 1;
        *length = u8::try_from(behind.len()).unwrap_or(u8::MAX);
        rest = &mut behind[usize::from(*length)..];
    }
    extension
}

/// Hop-by-hop options.
#[must_use]
pub fn hop_by_hop(units: u8) -> Extension {
    options(0, units)
}

/// Hop-by-hop options that begin with a jumbo payload option of this length (RFC 2675).
#[must_use]
pub fn jumbo(units: u8, length: u32) -> Extension {
    let mut extension = in_units_of_8(0, units);
    // The zeros behind it are Pad1.
    extension.octets.splice(2..8, [0xc2, 4].into_iter().chain(length.to_be_bytes()));
    Extension { jumbo: Some(length), ..extension }
}

/// Destination options.
#[must_use]
pub fn destination(units: u8) -> Extension {
    options(60, units)
}

/// A routing header of an experimental type, no segments left.
#[must_use]
pub fn routing(units: u8) -> Extension {
    let mut extension = in_units_of_8(43, units);
    extension.octets[2] = 253;
    extension
}

/// A fragment header; `offset` in units of 8 octets.
#[must_use]
pub fn fragment(offset: u16, more: bool) -> Extension {
    fragment_field(offset << 3 | u16::from(more))
}

/// A fragment header with this field of offset, two reserved bits, and the M flag.
#[must_use]
pub fn fragment_field(field: u16) -> Extension {
    let [high, low] = field.to_be_bytes();
    Extension { kind: 44, octets: vec![0, 0, high, low, 0, 0, 0, 9], later: field >> 3 != 0, jumbo: None }
}

/// An authentication header of (`words` + 2) × 4 octets.
#[must_use]
pub fn authentication(words: u8) -> Extension {
    let mut octets = vec![0; (usize::from(words) + 2) * 4];
    octets[1] = words;
    Extension { kind: 51, octets, later: false, jumbo: None }
}
