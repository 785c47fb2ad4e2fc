//! The target `capture`: any octets as a capture file.

use flowxdp::capture::{CaptureError, Frame, MAX_CAPTURED, Reader, link, to_ethernet};

use crate::parser;

/// One input of the fuzzer.
///
/// # Panics
///
/// If something does not hold.
pub fn target(data: &[u8]) {
    let mut octets = 0;
    let mut reader = match Reader::new("input", data) {
        Ok(reader) => reader,
        Err(error) => return one_line(&error, data.len()),
    };
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                octets += frame.data.len();
                check(&frame);
            }
            Ok(None) => break,
            Err(error) => {
                one_line(&error, data.len());
                break;
            }
        }
    }
    assert!(reader.is_packed() || octets <= data.len(), "more octets in the packets than in the file");
    assert!(reader.position() <= data.len() as u64, "more octets were read than are in the file");
    assert!(matches!(reader.next(), Ok(None)), "the end comes twice");
}

/// A packet of a file, and its frame for the metering process.
fn check(frame: &Frame<'_>) {
    assert!(frame.data.len() <= MAX_CAPTURED as usize, "a packet longer than the limit");
    assert!(frame.data.len() <= frame.wire as usize, "more captured than was on the wire");
    assert!(frame.time_ns.is_none_or(|time| time < (1 << 32) * 1_000_000_000), "a time out of range");
    let mut ethernet = vec![0xee; 3];
    let lengths = match to_ethernet(frame.link, frame.data, frame.wire, &mut ethernet) {
        Ok(lengths) => lengths,
        Err(error) => return assert!(!link::is_supported(frame.link), "{error}"),
    };
    assert!(link::is_supported(frame.link), "link type {} is not supported", frame.link);
    assert_eq!(lengths.captured as usize, ethernet.len(), "the captured length is not the frame's");
    assert!(lengths.captured <= lengths.wire, "more captured than was on the wire");
    parser::check(&ethernet, lengths.wire, ethernet.len() / 2);
}

/// Errors name the file and the place, in one line; unpacked octets may be more than the file has.
fn one_line(error: &CaptureError, length: usize) {
    let (CaptureError::At { offset, packed, .. }, text) = (error, error.to_string()) else {
        unreachable!("the error names no place in the file: {error}")
    };
    let place = format!("input: at octet {offset}");
    assert!(text.starts_with(&place), "the error names no place in the file: {text}");
    assert!(*packed || *offset <= length as u64, "the error's place is not in the file: {text}");
    assert!(!text.contains('\n'), "the error is more than one line: {text}");
}
