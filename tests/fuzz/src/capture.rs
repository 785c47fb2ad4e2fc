//! The target `capture`: any octets as a capture file.

use flowxdp::capture::{Frame, MAX_CAPTURED, Reader, link, to_ethernet};

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
        Err(error) => return one_line(&error.to_string(), data.len()),
    };
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                octets += frame.data.len();
                check(&frame);
            }
            Ok(None) => break,
            Err(error) => {
                one_line(&error.to_string(), data.len());
                break;
            }
        }
    }
    assert!(octets <= data.len(), "more octets in the packets than in the file");
    assert!(matches!(reader.next(), Ok(None)), "the end comes twice");
}

/// A packet of a file, and what the metering process gets of it.
fn check(frame: &Frame<'_>) {
    assert!(frame.data.len() <= MAX_CAPTURED as usize, "a packet longer than the limit");
    assert!(frame.data.len() <= frame.wire as usize, "more captured than was on the wire");
    assert!(link::is_supported(frame.link), "link type {} has no Ethernet twin", frame.link);
    let mut ethernet = vec![0xee; 3];
    let lengths = match to_ethernet(frame.link, frame.data, frame.wire, &mut ethernet) {
        Ok(lengths) => lengths,
        Err(error) => unreachable!("{error}"),
    };
    assert_eq!(lengths.captured as usize, ethernet.len(), "the captured length is not the frame's");
    assert!(lengths.captured <= lengths.wire, "more captured than was on the wire");
    parser::check(&ethernet, lengths.wire, ethernet.len() / 2);
}

/// Errors name the file and the place, in one line.
fn one_line(error: &str, length: usize) {
    let place = error.strip_prefix("input: at octet ").and_then(|rest| rest.split(':').next());
    let place = place.and_then(|place| place.parse::<usize>().ok());
    assert!(place.is_some_and(|place| place <= length), "the error names no place in the file: {error}");
    assert!(!error.contains('\n'), "the error is more than one line: {error}");
}
