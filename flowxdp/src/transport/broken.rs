//! Why a connection to a collector ended, in words for the log.

use std::io;

/// Why a connection cannot go on.
///
/// Its `Display` stands behind "collector URL: " in the log: one clause without times or ports, so that the
/// same fault gives the same words at each try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Broken {
    words: String,
    in_order: bool,
}

impl Broken {
    /// A reason in words.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { words: what.into(), in_order: false }
    }

    /// The collector ended its side in order, by a FIN or a `close_notify`.
    pub(super) fn in_order(words: impl Into<String>) -> Self {
        Self { words: words.into(), in_order: true }
    }

    /// Whether the collector ended its side in order: no reset, no alert, no timeout so far.
    pub const fn is_in_order(&self) -> bool {
        self.in_order
    }

    /// The system's error before the connection was established.
    pub(super) fn unreachable(error: &io::Error) -> Self {
        Self::new(match error.kind() {
            io::ErrorKind::ConnectionRefused => "refuses connections".to_owned(),
            io::ErrorKind::TimedOut => "does not answer".to_owned(),
            io::ErrorKind::ConnectionReset => "reset the connection at once".to_owned(),
            io::ErrorKind::HostUnreachable => "cannot be reached: there is no way to its host".to_owned(),
            io::ErrorKind::NetworkUnreachable => {
                "cannot be reached: there is no route to its network".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "cannot be reached: a rule of this machine forbids the connection".to_owned()
            }
            _ => format!("cannot be reached: {error}"),
        })
    }

    /// The system's error of an established connection; `during` is empty or names the phase, like " during
    /// the handshake".
    pub(super) fn ended(error: &io::Error, during: &str) -> Self {
        Self::new(match error.kind() {
            io::ErrorKind::ConnectionReset => format!("reset the connection{during}"),
            io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => {
                format!("closed the connection{during}")
            }
            io::ErrorKind::TimedOut => format!("stopped answering{during}"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                format!("cannot be reached any more{during}")
            }
            _ => format!("failed{during}: {error}"),
        })
    }
}
