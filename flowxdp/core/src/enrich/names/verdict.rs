//! The answer of the inspector: the names of a message, or the reason why there is none.

use std::net::IpAddr;

use serde::Serialize;

/// Octets of the longest name: a host name has at most 253 (RFC 1035 section 2.3.4), an ALPN name 255 (RFC 7301).
const LONGEST: usize = 255;

/// The names of a message, or the reason why none is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The message was read; it may have left its name out.
    Named(Names),
    /// No name is known.
    Unnamed(Reason),
}

/// The names of a message, by its protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "protocol", rename_all = "lowercase")]
pub enum Names {
    /// A ClientHello over TCP.
    Tls(Hello),
    /// A ClientHello in QUIC Initial packets.
    Quic(Hello),
    /// The head of an HTTP/1 request.
    Http(Request),
    /// A DNS query or response.
    Dns(Message),
}

/// The names of a TLS ClientHello (RFC 8446 section 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// server_name (RFC 6066 section 3); none where the client sent none.
    pub server_name: Option<Box<str>>,
    /// Names of application_layer_protocol_negotiation (RFC 7301), in the client's order.
    pub alpn: Vec<Box<str>>,
    /// The hello has encrypted_client_hello (RFC 9849): the name is the outer one, of the client's provider. Clients
    /// also send this extension filled with random octets, which the server alone can tell apart.
    #[serde(rename = "ech")]
    pub has_ech: bool,
}

/// The names of an HTTP/1 request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The first Host header (RFC 9110 section 7.2) as sent, with the port if there is one.
    pub host: Option<Box<str>>,
}

/// The question of a DNS message (RFC 1035 section 4), and the addresses that answer it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The message is a response.
    #[serde(rename = "response")]
    pub is_response: bool,
    /// The name asked for, without the dot at its end; `.` for the root.
    pub question: Option<Box<str>>,
    /// The type asked for, such as 1 (A) or 28 (AAAA).
    #[serde(rename = "type")]
    pub kind: u16,
    /// Response code, 4 bits; 0 is no error.
    pub code: u8,
    /// Addresses of the name or of its last alias, from the answer section alone.
    pub answers: Vec<Answer>,
}

/// An address that answers a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The address.
    pub address: IpAddr,
    /// Its time to live in seconds.
    pub ttl: u32,
}

/// Why no name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The payload begins as no protocol does that is known here.
    Unknown,
    /// A message of a known protocol that carries no name, or no payload at all.
    Nameless,
    /// The message continues in a packet that has not come yet.
    Incomplete,
    /// The message is longer than the packets or octets that are held of a flow.
    TooLong,
    /// The capture or a fragment holds a part of the packet alone.
    Truncated,
    /// The payload is encrypted with keys that only its two ends have.
    Encrypted,
    /// The message breaks a rule of its protocol.
    Malformed,
}

impl Reason {
    /// The reason in words, for a line of text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "no known protocol",
            Self::Nameless => "no name in it",
            Self::Incomplete => "more packets needed",
            Self::TooLong => "longer than is held of a flow",
            Self::Truncated => "cut short",
            Self::Encrypted => "encrypted",
            Self::Malformed => "malformed",
        }
    }
}

/// Octets of a message as text: graphic ASCII as it is, a backslash and all others escaped, so that text is safe on a
/// terminal and two different names stay different.
///
/// # Errors
///
/// An empty name, or one longer than any name may be: malformed.
pub(super) fn text(octets: &[u8]) -> Result<Box<str>, Reason> {
    if octets.is_empty() || octets.len() > LONGEST {
        return Err(Reason::Malformed);
    }
    Ok(octets.escape_ascii().to_string().into())
}
