//! Collectors that reset each connection, on a clock that passes only while somebody waits.

use super::*;
use flowxdp_core::clock::AgentTime;

use crate::exporting::dispatch::{Dispatch, Strategy};

const PATIENCE: u64 = 10 * SECOND;
/// The clock's step at each poll.
const STEP: u64 = 50 * MILLISECOND;

struct Waiting {
    dispatch: Dispatch,
    real: u64,
}

impl Waiting {
    fn now(&self) -> Now {
        Now::new(self.real, T0 + self.real / MILLISECOND)
    }

    fn real(&self) -> AgentTime {
        AgentTime::new(self.real)
    }

    fn is_given_up(&self) -> bool {
        self.dispatch.all()[0].is_given_up()
    }

    /// Looks until `done`; `advance` says whether time passes.
    fn until(&mut self, advance: bool, done: impl Fn(&Self) -> bool) {
        let (begun, looked) = (self.real(), Instant::now());
        loop {
            self.dispatch.poll(self.real(), self.now(), true);
            if done(self) || self.is_given_up() {
                return;
            }
            assert!(looked.elapsed() < LIMIT, "nothing happens at {} ms", self.real / MILLISECOND);
            if advance {
                self.dispatch.lose_patience(self.real(), self.now(), true, begun, PATIENCE);
                self.real += STEP;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends a record at each of so many moments to a collector that resets each connection once a record is
/// there; gives the time that was waited until it was given up, or nothing if it was not.
fn given_up(moments: u16, resend_window: usize) -> Option<u64> {
    let (listener, address) = listen();
    spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            drop(reset(stream, |read| !ports(read).is_empty()));
        }
    });
    let settings = Settings { resend_window, ..settings() };
    let url = format!("tcp://{address}").parse().unwrap();
    let exporter = Exporter::new(url, TlsSettings::default(), &settings, AgentTime::START, T0).unwrap();
    let mut waiting =
        Waiting { dispatch: Dispatch::new(vec![exporter], Strategy::Replicate, 0, None), real: 0 };
    for moment in 0..moments {
        let now = waiting.now();
        waiting.dispatch.push(&record(moment), now);
        waiting.until(true, |it| it.dispatch.is_settled(it.now(), true));
        waiting.until(false, |it| it.dispatch.all()[0].availability().is_none());
    }
    waiting.is_given_up().then_some(waiting.real)
}

#[test]
fn one_that_confirms_nothing_is_given_up_after_one_patience_of_waiting() {
    let waited = given_up(500, 1 << 22).unwrap();
    assert!((PATIENCE..PATIENCE + SECOND).contains(&waited), "{} ms", waited / MILLISECOND);
}

#[test]
fn one_whose_window_is_over_makes_progress() {
    assert_eq!(given_up(100, 0), None);
}
