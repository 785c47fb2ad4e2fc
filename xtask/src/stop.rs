//! Early stops: a signal is noted, every wait checks the note, and guards clean up on the way out.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signal that came, 0 for none.
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// How long a wait may go without looking.
const TICK: Duration = Duration::from_millis(20);

/// From here on ^C, SIGTERM and a closed terminal are noted and not fatal.
pub(crate) fn listen() -> Result<()> {
    let note = SIGNAL.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal).context("signal number")?;
        signal_hook::flag::register_usize(signal, Arc::clone(note), number)
            .context("cannot watch for signals")?;
    }
    Ok(())
}

/// The signal that came since [`listen`], if any.
fn signal() -> usize {
    SIGNAL.get().map_or(0, |note| note.load(Ordering::Relaxed))
}

/// An error once a signal came.
pub(crate) fn check() -> Result<()> {
    match signal() {
        0 => Ok(()),
        number => bail!("stopped by signal {number}; everything that was started is ended"),
    }
}

/// Says why a job failed, in one line, and gives the exit code: the shell's convention for a signal, else 1.
pub(crate) fn report(error: &Error) -> u8 {
    // ^C reaches the programs that a job has called too, and then their failure is no news.
    let reason = check().err();
    eprintln!("xtask: {:#}", reason.as_ref().unwrap_or(error));
    match u8::try_from(signal()) {
        Ok(number) if number > 0 => 128_u8.saturating_add(number),
        _ => 1,
    }
}

/// Sleeps, unless a signal comes.
pub(crate) fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        check()?;
        std::thread::sleep(left.min(TICK));
    }
    check()
}

/// Asks again and again until there is an answer, for at most `time`.
pub(crate) fn until<T>(what: &str, time: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + time;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("waited {} s for {what}, in vain", time.as_secs());
        }
        sleep(TICK)?;
    }
}

/// Waits for another thread's answer, unless a signal comes.
pub(crate) fn receive<T>(answers: &Receiver<T>) -> Result<T> {
    loop {
        match answers.recv_timeout(TICK) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => check()?,
            Err(RecvTimeoutError::Disconnected) => bail!("a thread of xtask ended without an answer"),
        }
    }
}
