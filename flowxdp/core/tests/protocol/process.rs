//! A process of the model: ordinary code that can be stopped between any two steps.
//!
//! Code asks for each step through [`Access`]. To go one step further, it is run again from its last
//! resting place: the steps that it did before are answered from its history, one is done, and the next
//! one stops it. So the code reads as it would in the agent, and can be the agent's own.

use crate::{
    cell::Op,
    memory::{Memory, encode},
};

/// The code is to return: its step is done, or has to wait.
#[derive(Debug)]
pub(crate) struct Stop;

pub(crate) type Go<T> = Result<T, Stop>;

/// One process: its resting place, and the results of its steps since then.
#[derive(Clone)]
pub(crate) struct Process<At> {
    /// `None`: the process has ended.
    pub at: Option<At>,
    pub history: Vec<u64>,
    /// Its next step is of no concern to others.
    pub is_private: bool,
}

/// The steps of one run.
pub(crate) struct Access<'a> {
    pub memory: &'a mut Memory,
    pub who: usize,
    history: &'a mut Vec<u64>,
    cursor: usize,
    choice: u64,
    done: Option<Op>,
    /// The fault of a reading.
    fault: Option<String>,
    is_private: bool,
}

impl Access<'_> {
    /// Does a step and gives its reading.
    pub(crate) fn step(&mut self, op: Op) -> Go<u64> {
        if let Some(&value) = self.history.get(self.cursor) {
            self.cursor += 1;
            return Ok(value);
        }
        if self.done.is_some() {
            self.is_private = op.is_private();
            return Err(Stop);
        }
        let value = self.memory.apply(self.who, op).ok_or(Stop)?;
        let value = if matches!(op, Op::Choose(_)) { self.choice } else { value };
        self.done = Some(op);
        self.history.push(value);
        self.cursor += 1;
        Ok(value)
    }

    /// Judges a snapshot: the sum lies between two readings, for packets and for each packet's octets.
    pub(crate) fn judge_books(&mut self, before: [u64; 2], sum: [u64; 2], after: [u64; 2]) {
        let digits = |octets: u64| (0..16).map(move |packet| octets >> (4 * packet) & 15);
        let octets = digits(before[1]).zip(digits(sum[1])).zip(digits(after[1]));
        let are_octets_good = octets.into_iter().all(|((before, sum), after)| before <= sum && sum <= after);
        if !(before[0] <= sum[0] && sum[0] <= after[0] && are_octets_good) {
            self.fault = Some(format!("the books say {sum:x?}, seen was {before:x?} and then {after:x?}"));
        }
    }

    /// The code has come to a resting place: its steps so far need not be repeated.
    fn rest(&mut self) {
        self.history.clear();
        self.cursor = 0;
    }
}

impl<At: Clone> Process<At> {
    pub(crate) const fn new(at: At) -> Self {
        Self { at: Some(at), history: Vec::new(), is_private: false }
    }

    /// Goes one step further, by `code`, which gives the next resting place. `None`: the process has to wait.
    pub(crate) fn advance(
        &mut self,
        who: usize,
        memory: &mut Memory,
        choice: u64,
        code: impl Fn(&At, &mut Access<'_>) -> Go<Option<At>>,
    ) -> Option<(Op, Option<String>)> {
        let mut history = std::mem::take(&mut self.history);
        let mut access = Access {
            memory,
            who,
            history: &mut history,
            cursor: 0,
            choice,
            done: None,
            fault: None,
            is_private: false,
        };
        while let Some(at) = &self.at {
            match code(at, &mut access) {
                Ok(next) => {
                    access.rest();
                    self.at = next;
                }
                Err(Stop) => break,
            }
        }
        let (done, fault, is_private) = (access.done, access.fault.take(), access.is_private);
        self.history = history;
        self.is_private = is_private;
        done.map(|op| (op, fault))
    }

    /// As [`Memory::encode`]; `at` writes the resting place.
    pub(crate) fn encode(&self, into: &mut Vec<u8>, at: impl Fn(&At, &mut Vec<u8>)) {
        match &self.at {
            None => into.push(0),
            Some(place) => {
                into.push(1);
                at(place, into);
                into.push(u8::try_from(self.history.len()).expect("short histories"));
                for &value in &self.history {
                    encode(value, into);
                }
            }
        }
    }
}
