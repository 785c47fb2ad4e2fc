//! Files of IPFIX messages read back: a session's own, other exporters', and any octets at all.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "every function here is part of a test"
)]

mod foreign;
mod properties;

/// A message of these sets, in domain 1, at 1000 s and with sequence 7.
fn message(sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut bytes = words(&[10, 16 + body.len() as u16, 0, 1000, 0, 7, 0, 1]);
    bytes.extend(body);
    bytes
}

/// A set: its id, then its records.
fn set(id: u16, records: &[u8]) -> Vec<u8> {
    [words(&[id, 4 + records.len() as u16]), records.to_vec()].concat()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
