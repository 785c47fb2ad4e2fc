//! Tests of the capture files: one file for each format, for the link types, and for properties
//! that hold for any octets.

mod build;
mod hostile;
mod link;
mod packed;
mod pcap;
mod pcapng;
mod properties;

use super::{CaptureError, Fault, Frame, Reader, in_range};

/// A frame that owns its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    time_ns: Option<u64>,
    wire: u32,
    link: u32,
    data: Vec<u8>,
}

impl From<Frame<'_>> for Owned {
    fn from(frame: Frame<'_>) -> Self {
        Self { time_ns: frame.time_ns, wire: frame.wire, link: frame.link, data: frame.data.to_vec() }
    }
}

/// All frames of a file, and the error behind them.
fn read(file: &[u8]) -> (Vec<Owned>, Option<CaptureError>) {
    let mut frames = Vec::new();
    let mut reader = match Reader::new("a.pcap", file) {
        Ok(reader) => reader,
        Err(error) => return (frames, Some(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(frame)) => frames.push(frame.into()),
            Ok(None) => return (frames, None),
            Err(error) => {
                assert!(matches!(reader.next(), Ok(None)), "an error is said once");
                return (frames, Some(error));
            }
        }
    }
}

/// All frames of a file that has no fault.
fn frames(file: &[u8]) -> Vec<Owned> {
    let (frames, error) = read(file);
    assert!(error.is_none(), "{error:?}");
    frames
}

/// Position and text of the error, for a file that has a fault behind `whole` packets.
fn fault(file: &[u8], whole: usize) -> (u64, Fault) {
    match read(file) {
        (frames, Some(CaptureError::At { file, offset, packed: false, fault })) => {
            assert_eq!((file.as_str(), frames.len()), ("a.pcap", whole), "{fault}");
            (offset, fault)
        }
        (_, other) => panic!("not a fault with a place: {other:?}"),
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Reader::open("/nowhere/a.pcap").err().map(|error| error.to_string()).unwrap();
    assert!(error.starts_with("/nowhere/a.pcap: "), "{error}");
    assert!(!error.contains('\n'));
}

#[test]
fn what_is_no_capture_is_said() {
    for (file, text) in [
        (&b""[..], "the file is empty"),
        (b"\xd4\xc3", "it begins with d4 c3"),
        (b"#!/bin/sh", "it begins with 23 21 2f 62"),
        (b"\x34\xcd\xb2\xa1\x02\x00", "modified pcap"),
    ] {
        let error = read(file).1.unwrap().to_string();
        assert!(error.starts_with("a.pcap: at octet 0: not a pcap or pcapng capture ("), "{error}");
        assert!(error.contains(text), "{error}");
    }
}
