//! One place to wait for many sockets: an epoll instance of our own.
//!
//! The exporters are polled with the time and know no runtime, so that a replay, which has none, drives them
//! as the agent does. An epoll instance wakes them: `replay` waits on it, `run` gives its descriptor to the
//! runtime.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

/// Events taken by one call of the kernel.
const BATCH: usize = 32;

/// The longest that one wait asks of the kernel, whose timeout counts milliseconds in 31 bits.
const LONGEST: Duration = Duration::from_secs(3600);

/// An epoll instance. A socket leaves it by being closed.
///
/// A wake does not name the socket: every exporter is polled after one, and a poll without work costs two
/// system calls.
#[derive(Debug)]
pub struct Readiness {
    epoll: OwnedFd,
}

impl Readiness {
    /// An instance without sockets.
    ///
    /// # Errors
    ///
    /// The system's: no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Lets `socket` wake: once for each change to readable, writable or ended (edge-triggered). So its
    /// owner reads and writes until the kernel says `WouldBlock`.
    ///
    /// # Errors
    ///
    /// The system's: no memory, or more sockets than the user may watch.
    pub fn register(&self, socket: impl AsFd) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(0), flags)?)
    }

    /// Waits for the first event, a signal or the end of `timeout` (`None`: for ever, as far as an hour is),
    /// and takes all events there are.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        if self.take(timeout.unwrap_or(LONGEST).min(LONGEST))? == BATCH { self.clear() } else { Ok(()) }
    }

    /// Takes all events there are, so that the instance's own descriptor is readable at the next one only.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn clear(&self) -> io::Result<()> {
        while self.take(Duration::ZERO)? == BATCH {}
        Ok(())
    }

    /// Takes up to a batch of events; gives their number, 0 after a signal too.
    fn take(&self, timeout: Duration) -> io::Result<usize> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let mut events = [const { MaybeUninit::<Event>::uninit() }; BATCH];
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((taken, _)) => Ok(taken.len()),
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream, time::Instant};

    use super::*;

    /// Whether the instance's descriptor would wake a runtime now.
    fn is_ready(readiness: &Readiness) -> bool {
        let mut fds = [rustix::event::PollFd::new(readiness, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn an_event_wakes_once_and_the_next_one_again() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let readiness = Readiness::new().unwrap();
        readiness.register(&ours).unwrap();
        readiness.clear().unwrap();
        assert!(!is_ready(&readiness));
        for _ in 0..2 {
            theirs.write_all(b"x").unwrap();
            assert!(is_ready(&readiness));
            readiness.wait(None).unwrap();
            assert!(!is_ready(&readiness), "what was taken wakes nobody, though nothing was read");
        }
    }

    #[test]
    fn a_wait_ends_with_its_timeout() {
        let readiness = Readiness::new().unwrap();
        let start = Instant::now();
        readiness.wait(Some(Duration::from_micros(1500))).unwrap();
        assert!(start.elapsed() >= Duration::from_micros(1500));
    }

    #[test]
    fn more_sockets_than_one_batch_are_taken_at_once() {
        let readiness = Readiness::new().unwrap();
        let pairs: Vec<_> = (0..3 * BATCH).map(|_| UnixStream::pair().unwrap()).collect();
        for (ours, _) in &pairs {
            readiness.register(ours).unwrap();
        }
        readiness.wait(None).unwrap();
        assert!(!is_ready(&readiness));
    }
}
