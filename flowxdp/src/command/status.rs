//! `flowxdp status`: the books of a running agent, over its Unix socket.

pub mod answer;
pub mod answers;
mod socket;

use std::{
    io::Read,
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

pub use self::socket::Socket;
use crate::output;

/// Where an agent listens unless told otherwise.
pub const SOCKET: &str = "/run/flowxdp/flowxdp.sock";

/// How long an agent may take for its books: it scans its table for them.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an agent may take to accept a connection, where its queue of them is full.
const ACCEPTING: Duration = Duration::from_secs(5);

/// Options of `flowxdp status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print the books as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Socket of the agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}

/// Asks and prints.
///
/// # Errors
///
/// Nobody answers at the socket, or what answers is no agent.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let path = options.socket.display();
    let until = Instant::now() + PATIENCE;
    let patient = Patient { stream: socket::reach(&options.socket, ACCEPTING)?, until };
    let answer = answer::read(patient).with_context(|| format!("the agent at {path} does not answer"))?;
    ensure!(!answer.is_empty(), "the agent at {path} answers too many others: ask again");
    let out = answer::shown(&answer, options.json)
        .with_context(|| format!("what answers at {path} is no flowxdp agent"))?;
    output::product(out)
}

/// A stream that is read until some instant and no longer, however slowly its octets come.
struct Patient {
    stream: UnixStream,
    until: Instant,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // No time at all would be read as no limit.
        let left = self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}
