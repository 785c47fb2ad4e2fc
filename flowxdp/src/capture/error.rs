//! The faults of a capture file, and their places.

use std::io;

const SUPPORTED: &str = "Ethernet (1), raw IP (12, 14, 101, 228, 229), Linux cooked (113, 276), \
                         PPP (9, 50, 51, 204), Cisco HDLC (104), NFLOG (239), PFLOG (117), ENC (109) and BSD \
                         loopback (0, 108) are";

/// An error of a capture file; its text is one line that names the file.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be opened.
    #[error("{file}: {error}")]
    Open {
        /// Path of the file.
        file: String,
        /// The system's error.
        error: io::Error,
    },
    /// The file is not a capture, is damaged, or cannot be read on.
    #[error("{file}: at octet {offset}{}: {fault}", if *.packed { " of the unpacked capture" } else { "" })]
    At {
        /// Path of the file.
        file: String,
        /// Where the packet or block with the fault begins, counted from 0.
        offset: u64,
        /// The file is packed with gzip or zstd, and the offset counts unpacked octets.
        packed: bool,
        /// The fault.
        fault: Fault,
    },
    /// A packet whose link type has no Ethernet twin.
    #[error("link type {link} is not supported: {SUPPORTED}")]
    LinkType {
        /// LINKTYPE value.
        link: u32,
    },
}

/// A fault of a capture file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The magic number is neither of pcap nor of pcapng.
    #[error("not a pcap or pcapng capture ({})", guess(begins))]
    NotACapture {
        /// The first octets of the file, at most four.
        begins: Vec<u8>,
    },
    /// A version that this reader does not know.
    #[error("{format} version {major}.{minor} is not supported")]
    Version {
        /// pcap or pcapng.
        format: &'static str,
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// The file ends where more octets must follow.
    #[error("the file is cut inside the {0} that begins here")]
    Cut(&'static str),
    /// A captured length above [`MAX_CAPTURED`](super::MAX_CAPTURED).
    #[error(
        "a captured length of {length} octets; {} is the most that a packet can have",
        super::MAX_CAPTURED
    )]
    TooLong {
        /// The length in the file.
        length: u32,
    },
    /// A block that contradicts itself or the blocks in front of it.
    #[error("malformed block: {0}")]
    Block(&'static str),
    /// A packed file that ends where more octets must follow.
    #[error("the file is cut: its {0} data end in the middle")]
    CutPacked(&'static str),
    /// A packed file that cannot be unpacked.
    #[error("the {packing} data are damaged: {error}")]
    Packed {
        /// gzip or zstd.
        packing: &'static str,
        /// The unpacker's error.
        error: io::Error,
    },
    /// The file could not be read on.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Guesses the format of a file that is no capture.
fn guess(begins: &[u8]) -> String {
    match begins {
        [] => "the file is empty".into(),
        [0x1f, 0x8b, ..] => "it is compressed more than once, with gzip inside: decompress it once".into(),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            "it is compressed more than once, with zstd inside: decompress it once".into()
        }
        [0xfd, b'7', b'z', b'X'] => "it is compressed with xz: decompress it first".into(),
        [0xa1, 0xb2, 0xcd, 0x34] | [0x34, 0xcd, 0xb2, 0xa1] => {
            "it is the modified pcap of Linux 2.2: convert it with editcap".into()
        }
        other => {
            let hex: Vec<String> = other.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("it begins with {}", hex.join(" "))
        }
    }
}
