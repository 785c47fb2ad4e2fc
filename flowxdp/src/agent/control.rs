//! The control socket: one request line, one answer.
//!
//! - [`verbs`]: the table of requests. A connection without a request gets the books, as before there were verbs.
//! - [`socket`]: the agent's end of the socket, and how a client reaches it. [`client`]: `status` and `flush`;
//!   [`answer`]: the books as they show them.
//! - [`connection`]: one client, who may be slow, silent or hostile.

pub mod answer;
pub mod client;
mod connection;
pub mod socket;
pub mod verbs;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep_until},
};

pub use self::verbs::Answering;
use self::{socket::Socket, verbs::Verb};

/// Where an agent listens unless `--socket` says otherwise.
pub const SOCKET: &str = "/run/flowxdp/flowxdp.sock";

/// Clients that are served at once; further ones wait in the socket's queue of connections.
const CLIENTS: usize = 32;

/// Without descriptors, connections are accepted again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Question {
    /// The request.
    pub verb: &'static Verb,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Where one answer goes.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Arc<[u8]>>);

impl Reply {
    /// A place for an answer, and its reader.
    pub fn new() -> (Self, oneshot::Receiver<Arc<[u8]>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers; a client that has left misses it.
    pub fn text(self, text: Arc<[u8]>) {
        drop(self.0.send(text));
    }

    /// Answers with one line of JSON.
    pub fn line(self, object: &serde_json::Value) {
        self.text(line(object));
    }

    /// Answers with the reason why nothing was done.
    pub fn refusal(self, why: &str) {
        self.text(refusal(why));
    }
}

fn line(object: &serde_json::Value) -> Arc<[u8]> {
    format!("{object}\n").into_bytes().into()
}

/// One line: an object with the one key `error`.
fn refusal(why: &str) -> Arc<[u8]> {
    line(&json!({ "error": why }))
}

/// The control socket of a running agent.
#[derive(Debug)]
pub struct Control {
    socket: Socket,
    places: Arc<Semaphore>,
    sender: mpsc::Sender<Question>,
    questions: mpsc::Receiver<Question>,
    /// No connection is accepted before.
    again: Option<Instant>,
    /// The user whose agent this is.
    owner: u32,
    said: bool,
}

impl Control {
    /// Serves clients at a socket, from the first [`Control::next`] on.
    pub fn new(socket: Socket) -> Self {
        let (sender, questions) = mpsc::channel(CLIENTS);
        let owner = rustix::process::geteuid().as_raw();
        let places = Arc::new(Semaphore::new(CLIENTS));
        Self { socket, places, sender, questions, again: None, owner, said: false }
    }

    /// The next request. May be dropped and called again at any moment.
    pub async fn next(&mut self) -> Question {
        loop {
            tokio::select! {
                biased;
                Some(question) = self.questions.recv() => return question,
                accepted = accept(&self.socket, &self.places, self.again) => match accepted {
                    Ok((stream, place)) => {
                        (self.again, self.said) = (None, false);
                        tokio::spawn(connection::serve(stream, self.sender.clone(), self.owner, place));
                    }
                    Err(error) => {
                        // Out of descriptors, perhaps: metering continues meanwhile.
                        if !std::mem::replace(&mut self.said, true) {
                            log::warn!("cannot take a question for the books: {error}; trying again");
                        }
                        self.again = Some(Instant::now() + AGAIN);
                    }
                },
            }
        }
    }

    /// A request that has come already.
    pub fn waiting(&mut self) -> Option<Question> {
        self.questions.try_recv().ok()
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    socket: &Socket,
    places: &Arc<Semaphore>,
    again: Option<Instant>,
) -> std::io::Result<(UnixStream, OwnedSemaphorePermit)> {
    if let Some(again) = again {
        sleep_until(again).await;
    }
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = socket.listener.accept().await?;
    Ok((stream, place))
}

#[cfg(test)]
mod tests;
