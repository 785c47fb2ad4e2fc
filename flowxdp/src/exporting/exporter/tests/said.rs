//! The log lines about a collector.

use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// From now on lines are kept, of all tests of the process, as there is one log.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LINES).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

/// The lines so far that name `url`.
pub(super) fn of(url: &str) -> Vec<String> {
    let lines = LINES.0.lock().unwrap();
    lines.iter().filter(|line| line.contains(url)).cloned().collect()
}
