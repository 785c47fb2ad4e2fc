//! A thread that asks for the books all the time, of any agent that runs, and fails when they do not balance.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use flowxdp_tests::agent::status;
use flowxdp_tests::books::Books;

const PAUSE: Duration = Duration::from_millis(50);

/// Whom it asks.
#[derive(Clone, Default)]
struct Asked {
    socket: Option<PathBuf>,
    /// Grows whenever another agent is asked, or none.
    number: u64,
    /// Grows when a table begins with nothing.
    life: u64,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Watch {
    asked: Mutex<Asked>,
    answers: AtomicU64,
    failed: Mutex<Option<Error>>,
    done: AtomicBool,
}

impl Watch {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this agent is asked, and has to answer.
    pub(crate) fn follow(&self, socket: &Path) {
        let mut asked = self.asked();
        (asked.socket, asked.number) = (Some(socket.to_owned()), asked.number + 1);
    }

    /// The agent is about to end.
    pub(crate) fn look_away(&self) {
        let mut asked = self.asked();
        (asked.socket, asked.number) = (None, asked.number + 1);
    }

    /// The next table begins with nothing.
    pub(crate) fn new_life(&self) {
        self.asked().life += 1;
    }

    /// Answers that balanced.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// The condition that did not hold, if there is one.
    pub(crate) fn check(&self) -> Result<()> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// Ends [`Watch::run`].
    pub(crate) fn end(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Asks until the end, or until a condition does not hold.
    pub(crate) fn run(&self) {
        let mut last = (0, 0);
        while !self.done.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
            let asked = self.asked().clone();
            let Some(socket) = &asked.socket else { continue };
            let result = status(socket);
            // An agent that ended meanwhile owes no answer.
            if result.is_err() && self.asked().number != asked.number {
                continue;
            }
            if let Err(error) = result.and_then(|books| judge(&books, asked.life, &mut last)) {
                let error = error.context("while packets came in");
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The books of any moment: they balance, every collector was given the same, and "seen" only grows.
fn judge(books: &Books, life: u64, last: &mut (u64, u64)) -> Result<()> {
    same_for_all(books)?;
    let seen = books.seen.packets;
    ensure!(last.0 != life || last.1 <= seen, "{} packets were seen before: {books:?}", last.1);
    *last = (life, seen);
    Ok(())
}

/// Fails unless the books balance, and all collectors were given the same packets: after a kill not always in
/// as many records, as one collector may have one record where the other has two.
pub(crate) fn same_for_all(books: &Books) -> Result<()> {
    books.balance().context("the books do not balance")?;
    let retired = books.collectors.values().map(|collector| collector.total());
    let retired: Vec<_> = retired.collect();
    ensure!(retired.windows(2).all(|pair| pair[0] == pair[1]), "different for each collector: {books:?}");
    Ok(())
}
