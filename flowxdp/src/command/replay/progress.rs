//! Progress of a replay, for people: one line at the end of stderr, where that is a terminal, and nothing
//! anywhere else.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, UNIX_EPOCH};

use flowxdp_core::clock::{MILLISECOND, SECOND};

use crate::{clock, report};

/// Between two lines, nanoseconds.
const PERIOD: u64 = 200 * MILLISECOND;

/// Packets between two readings of the clock.
const PACKETS: u64 = 256;

/// Where progress is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// Packets so far.
    pub(super) packets: u64,
    /// Time of the capture, nanoseconds since 1970.
    pub(super) time: u64,
    /// Octets read of the files so far.
    pub(super) octets: u64,
}

/// The line on the terminal.
pub(super) struct Progress {
    /// `None` where stderr is no terminal.
    width: Option<usize>,
    begun: u64,
    shown: u64,
    is_there: bool,
    /// Octets of all files, where they are known.
    total: Option<u64>,
}

impl Progress {
    /// Nothing is shown yet; `total` is the size of all files, octets.
    pub(super) fn new(total: Option<u64>) -> Self {
        let now = clock::monotonic();
        Self { width: width(), begun: now, shown: now, is_there: false, total }
    }

    /// Shows the line, if it is time for it.
    pub(super) fn show(&mut self, done: Done) {
        let Some(width) = self.width.filter(|_| done.packets.is_multiple_of(PACKETS)) else { return };
        let now = clock::monotonic();
        if now >= self.shown.saturating_add(PERIOD) {
            (self.shown, self.is_there) = (now, true);
            let mut line = line(done, now.saturating_sub(self.begun), self.total);
            line.truncate(width);
            // Back at its start, so that a line of the log is written over it.
            write(&format!("\r{line}\x1b[K\r"));
        }
    }

    /// Takes the line away, before anything else is written.
    pub(super) fn erase(&mut self) {
        if std::mem::take(&mut self.is_there) {
            write("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
    }
}

/// Columns of the terminal that stderr is, less the last one, at which lines may wrap.
fn width() -> Option<usize> {
    let stderr = io::stderr();
    let is_dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
    if is_dumb || !stderr.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(&stderr).map_or(0, |size| size.ws_col);
    Some(usize::from(if columns == 0 { 80 } else { columns }).saturating_sub(1))
}

/// A terminal that is gone takes no line, and the replay goes on.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}

/// Packets, time of the capture, packets a second, and the time left; all of it ASCII.
fn line(done: Done, elapsed: u64, total: Option<u64>) -> String {
    let rate = u128::from(done.packets) * u128::from(SECOND) / u128::from(elapsed.max(1));
    let time = UNIX_EPOCH + Duration::from_nanos(done.time);
    let mut line = format!(
        "{} packets, {}, {} packets/s",
        report::grouped(done.packets),
        humantime::format_rfc3339_seconds(time),
        report::grouped(rate),
    );
    if let Some(total) = total.filter(|_| done.octets > 0) {
        let missing = total.saturating_sub(done.octets);
        let left = u128::from(elapsed) * u128::from(missing) / u128::from(done.octets) / u128::from(SECOND);
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(u64::MAX));
        line.push_str(&format!(", {} left", humantime::format_duration(left)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Done, SECOND, line};

    #[test]
    fn a_line_says_packets_time_rate_and_what_is_left() {
        let done = Done { packets: 1_234_567, time: 1_700_000_000 * SECOND, octets: 25 };
        let text = line(done, 2 * SECOND, Some(100));
        assert_eq!(text, "1,234,567 packets, 2023-11-14T22:13:20Z, 617,283 packets/s, 6s left");
        assert!(line(done, 2 * SECOND, None).ends_with("packets/s"));
        // No time passed, no octet read, and the last time that there is.
        let none = Done { packets: 0, time: ((1 << 32) - 1) * SECOND, octets: 0 };
        assert_eq!(line(none, 0, Some(1)), "0 packets, 2106-02-07T06:28:15Z, 0 packets/s");
        assert!(line(done, u64::MAX, Some(u64::MAX)).contains("left"));
    }
}
