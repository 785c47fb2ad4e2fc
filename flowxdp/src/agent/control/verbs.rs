//! The verbs of the control socket: a row each.

use flowxdp_core::clock::Reading;

use super::Reply;

/// The agent's action for a verb. An error ends the agent.
pub trait Answering {
    /// The books, one JSON object.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period.
    fn books(&mut self, replies: Vec<Reply>) -> anyhow::Result<()>;

    /// The effective configuration, as the file that makes it again.
    fn config(&mut self, replies: Vec<Reply>);

    /// Retires and exports every flow now; answers when that is done.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn flush(&mut self, at: &Reading, replies: Vec<Reply>) -> anyhow::Result<()>;

    /// Reads the configuration again; answers when its changes hold, or are refused.
    fn reload(&mut self, replies: Vec<Reply>);
}

/// Who may use a verb, of the users whom the socket's mode lets connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every client.
    Anyone,
    /// root, and the user whose agent it is.
    Owner,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// The request line.
    pub name: &'static str,
    /// The answer, in a sentence.
    pub sentence: &'static str,
    /// Whose request is answered.
    pub who: Who,
    /// Does it for all requests that wait.
    pub handler: fn(&mut dyn Answering, &Reading, Vec<Reply>) -> anyhow::Result<()>,
}

/// The books: also the answer to a connection without a request.
pub const BOOKS: &str = "books";

/// The table.
pub static VERBS: &[Verb] = &[
    Verb {
        name: BOOKS,
        sentence: "The books as one JSON object.",
        who: Who::Anyone,
        handler: |agent, _, replies| agent.books(replies),
    },
    Verb {
        name: "config",
        sentence: "The effective configuration, flags and defaults included, as the file that makes it again.",
        who: Who::Anyone,
        handler: |agent, _, replies| {
            agent.config(replies);
            Ok(())
        },
    },
    Verb {
        name: "flush",
        sentence: "Every flow in the table retires now and is exported with end reason 4; the agent continues.",
        who: Who::Owner,
        handler: |agent, at, replies| agent.flush(at, replies),
    },
    Verb {
        name: "reload",
        sentence: "The configuration's file is read again; all changes hold from one instant on, or none does.",
        who: Who::Owner,
        handler: |agent, _, replies| {
            agent.reload(replies);
            Ok(())
        },
    },
];

impl PartialEq for Verb {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The verb of a request line; an empty one asks for the books.
pub fn find(name: &str) -> Option<&'static Verb> {
    let name = if name.is_empty() { BOOKS } else { name };
    VERBS.iter().find(|verb| verb.name == name)
}
