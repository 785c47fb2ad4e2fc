//! Messages as octets: what IPFIX (RFC 7011) and NetFlow v9 (RFC 3954) have in common.

use std::fmt;

/// An export protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IPFIX, version 10 (RFC 7011).
    Ipfix,
    /// NetFlow version 9 (RFC 3954).
    V9,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipfix => "IPFIX",
            Self::V9 => "NetFlow v9",
        })
    }
}
