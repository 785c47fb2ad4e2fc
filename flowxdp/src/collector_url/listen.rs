//! Where `collect` listens, as typed: `udp://HOST[:PORT]`.

use std::fmt;
use std::str::FromStr;

use super::UrlError;
use super::authority::{self, Host, Scheme};

/// The port where none is typed: IPFIX over UDP.
const DEFAULT_PORT: u16 = 4739;

/// A local address to receive messages on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenUrl {
    text: String,
    host: Host,
    port: u16,
}

impl ListenUrl {
    /// The local host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port; 0 lets the kernel choose one.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ListenUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let parts = authority::split(text)?;
        if parts.scheme != Scheme::Udp {
            return Err(UrlError::Listen);
        }
        if parts.query.is_some() {
            return Err(UrlError::NoParameters);
        }
        Ok(Self { text: text.to_owned(), host: parts.host, port: parts.port.unwrap_or(DEFAULT_PORT) })
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
