//! Settings and time limits of a connection.

use std::net::IpAddr;

use flowxdp_core::clock::SECOND;

/// Settings of a connection.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// The local address to send from, or one of the kernel's choice.
    pub source: Option<IpAddr>,
    /// How long connect and handshake may take together, nanoseconds.
    pub handshake: u64,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { source: None, handshake: 10 * SECOND }
    }
}

/// A time limit as text, like "10 s".
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
pub(super) fn seconds(nanoseconds: u64) -> String {
    format!("{} s", nanoseconds as f64 / SECOND as f64)
}
