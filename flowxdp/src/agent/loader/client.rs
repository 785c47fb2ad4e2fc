//! The agent's end: one request at a time, without waiting.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use anyhow::{Context, bail, ensure};
use flowxdp_core::books;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{RecvFlags, recv},
};

use super::protocol::{Answer, Request, receive, send};

/// The running loader.
#[derive(Debug)]
pub struct Loader {
    socket: OwnedFd,
    /// Its process id.
    pub pid: u32,
    /// Its capabilities, as the kernel's manual writes them.
    pub holds: Vec<String>,
    /// How it is confined, in words.
    pub confined: String,
    asked: bool,
    ended: bool,
}

impl Loader {
    /// Takes the first answer of a loader that was started just now.
    ///
    /// # Errors
    ///
    /// It could not be confined, ended, or does not answer within `patience`.
    pub(super) fn ready(socket: OwnedFd, pid: u32, patience: Timespec) -> anyhow::Result<Self> {
        let mut loader =
            Self { socket, pid, holds: Vec::new(), confined: String::new(), asked: true, ended: false };
        match loader.wait(Some(patience))?.0 {
            Answer::Ready { holds, confined } => {
                (loader.holds, loader.confined) = (holds, confined);
                Ok(loader)
            }
            Answer::Refused(why) => bail!("{why}"),
            answer => bail!("it answers {answer:?}"),
        }
    }

    /// Sends a request. The answer is to be waited for before the next one.
    ///
    /// # Errors
    ///
    /// The loader ended, or has not answered the last request yet.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<()> {
        ensure!(!self.asked, "the loader works on an earlier request: ask again");
        ensure!(self.is_there(), ENDED);
        send(&self.socket, request, None).map_err(|error| self.gone(error))?;
        self.asked = true;
        Ok(())
    }

    /// The answer, if it is there.
    ///
    /// # Errors
    ///
    /// The loader ended.
    pub fn answer(&mut self) -> anyhow::Result<Option<(Answer, Option<OwnedFd>)>> {
        if !self.asked {
            return Ok(None);
        }
        match receive(&self.socket) {
            Ok(Some(answer)) => {
                self.asked = false;
                Ok(Some(answer))
            }
            Ok(None) => {
                (self.asked, self.ended) = (false, true);
                bail!(ENDED)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => {
                self.asked = false;
                Err(self.gone(error))
            }
        }
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`Self::answer`], and where `patience` ends before.
    pub fn wait(&mut self, patience: Option<Timespec>) -> anyhow::Result<(Answer, Option<OwnedFd>)> {
        loop {
            if let Some(answer) = self.answer()? {
                return Ok(answer);
            }
            ensure!(self.asked, "nothing was asked");
            let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
            let ready = poll(&mut sockets, patience.as_ref()).context("cannot wait for the loader")?;
            ensure!(ready > 0, "the loader does not answer");
        }
    }

    /// Whether the process is there: the kernel closes its socket when it ends.
    pub fn is_there(&self) -> bool {
        let peeked = recv(&self.socket, &mut [0_u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        !self.ended && !matches!(peeked, Ok((_, 0))) && !matches!(peeked, Err(rustix::io::Errno::CONNRESET))
    }

    /// For the books.
    pub fn shown(&self) -> books::Loader {
        books::Loader { pid: self.pid, running: self.is_there(), holds: self.holds.clone() }
    }

    fn gone(&mut self, error: io::Error) -> anyhow::Error {
        self.ended = !self.is_there();
        if self.ended { anyhow::anyhow!(ENDED) } else { anyhow::Error::new(error).context("the loader") }
    }
}

impl AsFd for Loader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The remedy is a start: a second loader would need capabilities that the agent gave up.
const ENDED: &str = "the loader ended: restart the agent to change what needs privileges";
