//! The shared memory: words, store buffers, grace periods.

use std::fmt;

use crate::cell::{CPUS, Cell, Op, SLOTS, WORDS};

/// The words, and the stores on their way to them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    words: [u64; WORDS],
    /// Stores of each CPU that no other has seen yet; empty where stores are seen at once.
    pub buffers: [Vec<(u8, u64)>; CPUS],
    weak: bool,
    /// CPUs inside a program.
    inside: [bool; CPUS],
    /// CPUs that the grace period waits for.
    awaited: [bool; CPUS],
    /// CPUs with packets to come.
    pub busy: [bool; CPUS],
}

impl Memory {
    /// All zeros. With `weak`, plain stores of the CPUs are seen late, in any order.
    pub(crate) fn new(weak: bool) -> Self {
        Self {
            words: [0; WORDS],
            buffers: Default::default(),
            weak,
            inside: [false; CPUS],
            awaited: [false; CPUS],
            busy: [false; CPUS],
        }
    }

    /// The word as everybody sees it.
    pub(crate) fn word(&self, cell: Cell) -> u64 {
        self.words[cell.index()]
    }

    /// The word as the CPU that writes it sees it.
    pub(crate) fn own(&self, cpu: usize, cell: Cell) -> u64 {
        let mine = self.buffers[cpu].iter().rev().find(|(place, _)| usize::from(*place) == cell.index());
        mine.map_or_else(|| self.word(cell), |(_, value)| *value)
    }

    /// Store buffer entries of a CPU that may be seen next: the oldest of each word.
    pub(crate) fn may_flush(&self, cpu: usize) -> impl Iterator<Item = usize> {
        let buffer = &self.buffers[cpu];
        (0..buffer.len()).filter(|&at| buffer[..at].iter().all(|(place, _)| *place != buffer[at].0))
    }

    /// One buffered store is seen.
    pub(crate) fn flush(&mut self, cpu: usize, at: usize) {
        let (place, value) = self.buffers[cpu].remove(at);
        self.words[usize::from(place)] = value;
    }

    fn flush_all(&mut self, cpu: usize) {
        while !self.buffers[cpu].is_empty() {
            self.flush(cpu, 0);
        }
    }

    fn store(&mut self, who: usize, cell: Cell, value: u64) {
        if self.weak && who < CPUS {
            self.buffers[who].push((u8::try_from(cell.index()).expect("few words"), value));
        } else {
            self.words[cell.index()] = value;
        }
    }

    /// Does a step of CPU or agent `who`; `None` if it has to wait.
    pub(crate) fn apply(&mut self, who: usize, op: Op) -> Option<u64> {
        match op {
            Op::Load(cell) if who < CPUS => return Some(self.own(who, cell)),
            Op::Load(cell) => return Some(self.word(cell)),
            Op::Store(cell, value) => self.store(who, cell, value),
            Op::Add(cell, value) => {
                let before = if who < CPUS { self.own(who, cell) } else { self.word(cell) };
                self.store(who, cell, before + value);
            }
            Op::Release(cell, value) => {
                if who < CPUS {
                    self.flush_all(who);
                }
                self.words[cell.index()] = value;
            }
            Op::Enter => self.inside[who] = true,
            Op::Exit(more) => {
                self.inside[who] = false;
                self.busy[who] = more;
                if std::mem::take(&mut self.awaited[who]) {
                    self.flush_all(who);
                }
            }
            Op::Take => {
                self.flush_all(who);
                self.words[Cell::Taken.index()] += 1;
                return Some(self.word(Cell::Taken) - 1);
            }
            Op::Submit(event) => {
                let position = usize::try_from(self.word(Cell::Producer)).expect("few events");
                self.words[Cell::Event(position).index()] = event;
                self.words[Cell::Producer.index()] += 1;
            }
            Op::GraceBegin => {
                for cpu in 0..CPUS {
                    self.awaited[cpu] = self.inside[cpu];
                    if !self.inside[cpu] {
                        self.flush_all(cpu);
                    }
                }
            }
            Op::GraceEnd if self.awaited.contains(&true) => return None,
            Op::Detached if self.busy.contains(&true) => return None,
            Op::Send(collector, packets, octets) => {
                self.words[Cell::ReceivedPackets(collector).index()] += packets;
                self.words[Cell::ReceivedOctets(collector).index()] += octets;
            }
            Op::Refused(collector, packets, octets, cell, value) => {
                self.words[Cell::ReceivedPackets(collector).index()] -= packets;
                self.words[Cell::ReceivedOctets(collector).index()] -= octets;
                self.words[cell.index()] = value;
            }
            Op::GraceEnd | Op::Detached | Op::Choose(_) => {}
        }
        Some(0)
    }

    /// The agent is gone at once: its grace period is not waited for any more.
    pub(crate) fn kill(&mut self) {
        self.awaited = [false; CPUS];
    }

    /// The whole memory as octets: equal memories and no others give the same.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        for &word in &self.words {
            if word < 0x80 {
                into.push(word.to_le_bytes()[0]);
            } else {
                encode(word, into);
            }
        }
        for cpu in 0..CPUS {
            let flags = [self.inside[cpu], self.awaited[cpu], self.busy[cpu]];
            into.push(flags.iter().fold(0, |octet, &flag| octet << 1 | u8::from(flag)));
            into.push(u8::try_from(self.buffers[cpu].len()).expect("short buffers"));
            for (place, value) in &self.buffers[cpu] {
                into.push(*place);
                encode(*value, into);
            }
        }
    }
}

/// A word in as few octets as it needs.
pub(crate) fn encode(mut word: u64, into: &mut Vec<u8>) {
    while word >= 0x80 {
        into.push(word.to_le_bytes()[0] | 0x80);
        word >>= 7;
    }
    into.push(word.to_le_bytes()[0]);
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for slot in 0..SLOTS {
            let [state, key, packets, octets] =
                [Cell::State(slot), Cell::Key(slot), Cell::Packets(slot), Cell::Octets(slot)]
                    .map(|cell| self.word(cell));
            writeln!(
                formatter,
                "  slot {slot}: state {state:#x}, flow {key}, packets {packets}, octets {octets:#x}"
            )?;
        }
        Ok(())
    }
}
