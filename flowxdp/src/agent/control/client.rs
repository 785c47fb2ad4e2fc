//! The client's end of the control socket.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{answer, socket::reach};

/// How long an agent may take to accept a connection, where its queue of them is full.
const ACCEPTING: Duration = Duration::from_secs(5);

/// Sends a request and reads the answer. An empty request asks for the books, of an agent of any version.
///
/// # Errors
///
/// No agent answers at the socket within `patience`.
pub fn ask(path: &Path, request: &str, patience: Duration) -> anyhow::Result<Vec<u8>> {
    let until = Instant::now() + patience;
    let shown = path.display();
    let silent = || format!("the agent at {shown} does not answer");
    let stream = loop {
        let mut stream = reach(path, ACCEPTING)?;
        if request.is_empty() {
            break stream;
        }
        match stream.write_all(format!("{request}\n").as_bytes()) {
            Ok(()) => break stream,
            // A client that is late, on a machine with much to do, was answered as one without a request.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && Instant::now() < until => {}
            Err(error) => return Err(error).with_context(silent),
        }
    };
    // An agent that has dropped the connection refuses this; its answer, if any, is read all the same.
    drop(stream.shutdown(Shutdown::Write));
    let answer = answer::read(Patient { stream, until }).with_context(silent)?;
    ensure!(!answer.is_empty(), "the agent at {shown} answers too many others, or ends: ask again");
    Ok(answer)
}

/// A stream that is read until some instant and no longer, however slowly its octets come.
struct Patient {
    stream: UnixStream,
    until: Instant,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // No time at all would be read as no limit.
        let left = self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}
