//! ^C and SIGTERM are noted; waiting loops look at the note, and guards clean up on the way out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static STOPPED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on signals are noted.
pub(crate) fn listen() -> Result<()> {
    let stopped = STOPPED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(stopped)).context("cannot watch for signals")?;
    }
    Ok(())
}

/// An error once a signal came.
pub(crate) fn check() -> Result<()> {
    let stopped = STOPPED.get().is_some_and(|stopped| stopped.load(Ordering::Relaxed));
    ensure!(!stopped, "stopped by a signal; everything that was started is ended");
    Ok(())
}
