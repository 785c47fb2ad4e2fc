//! Anything in any order, against a model that is a list.

use std::collections::VecDeque;

use flowxdp_core::exporting::session::Message;
use flowxdp_core::record::RecordTotal;
use proptest::prelude::*;

use super::super::{Place, Spool};
use super::{Bench, assert_same};

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u64),
    Take,
    Sent,
    Delivered,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..90_u64).prop_map(Step::Append),
        5 => Just(Step::Take),
        3 => Just(Step::Sent),
        2 => Just(Step::Delivered),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..150)
}

/// The expected content.
#[derive(Default)]
struct Model {
    /// Not taken, with whether an earlier run wrote it and whether one sent it.
    waiting: VecDeque<(Message, bool, bool)>,
    /// Taken and not delivered, with its place and whether it was sent.
    taken: VecDeque<(Message, Place, bool)>,
}

impl Model {
    fn kill(&mut self) {
        // Records sent before count as sent, though they wait again.
        let taken = self.taken.drain(..).map(|(message, _, sent)| (message, true, sent));
        let waiting = self.waiting.drain(..).map(|(message, _, sent)| (message, true, sent));
        self.waiting = taken.chain(waiting).collect();
    }

    fn total(&self, inherited: bool) -> RecordTotal {
        let mut sum = RecordTotal::default();
        let messages = self.waiting.iter().filter(|(_, old, _)| *old || !inherited);
        messages.for_each(|(message, ..)| sum += message.total);
        sum
    }

    /// One step on both; gives the spool that there is then.
    fn step(&mut self, bench: &mut Bench, mut spool: Spool, step: Step) -> Spool {
        match step {
            Step::Append(records) => {
                let message = bench.message(records);
                bench.append(&mut spool, &message);
                self.waiting.push_back((message, false, false));
                for lost in spool.take_lost() {
                    let gone = self.waiting.drain(..usize::try_from(lost.messages).unwrap());
                    let mut sum = RecordTotal::default();
                    gone.for_each(|(message, ..)| sum += message.total);
                    assert_eq!(sum, lost.total);
                }
            }
            Step::Take => match (spool.take().unwrap(), self.waiting.pop_front()) {
                (Some(spooled), Some((message, inherited, sent))) => {
                    assert_eq!((spooled.inherited, spooled.perhaps_twice), (inherited, sent));
                    self.taken.push_back((message.clone(), spooled.place, sent));
                    assert_same(&[spooled], &[message]);
                }
                (spooled, expected) => assert!(spooled.is_none() && expected.is_none()),
            },
            Step::Sent => {
                if let Some((_, place, sent)) = self.taken.iter_mut().find(|(.., sent)| !*sent) {
                    spool.sent(*place);
                    *sent = true;
                }
            }
            Step::Delivered => {
                if let Some((_, place, _)) = self.taken.pop_front() {
                    spool.delivered(place);
                }
            }
            Step::Kill => {
                drop(spool);
                self.kill();
                spool = bench.open();
                assert_eq!(spool.inherited(), self.total(true));
            }
        }
        spool
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// With room for everything.
    #[test]
    fn every_record_is_where_the_model_has_it(steps in steps()) {
        let mut bench = Bench::new(2 << 20);
        let (mut spool, mut model) = (bench.open(), Model::default());
        for step in steps {
            spool = model.step(&mut bench, spool, step);
            prop_assert_eq!(spool.waiting(), model.total(false));
            prop_assert_eq!(spool.waiting_inherited(), model.total(true));
        }
        prop_assert_eq!(spool.take_lost(), []);
    }

    /// With room for some, and no message taken: the first records are then lost.
    #[test]
    fn what_gives_way_is_the_beginning(
        steps in prop::collection::vec(prop_oneof![9 => (1..90_u64).prop_map(Step::Append), 1 => Just(Step::Kill)], 1..80)
    ) {
        let mut bench = Bench::new(70 << 10);
        let (mut spool, mut model) = (bench.open(), Model::default());
        for step in steps {
            spool = model.step(&mut bench, spool, step);
            prop_assert_eq!(spool.waiting(), model.total(false));
            prop_assert_eq!(spool.waiting_inherited(), model.total(true));
        }
    }
}
