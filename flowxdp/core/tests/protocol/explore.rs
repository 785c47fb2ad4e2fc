//! Every interleaving, breadth first: each state that can be reached is met once, and judged.

use std::{collections::HashSet, fmt::Write};

use crate::{
    agent,
    cell::{CPUS, Op},
    judge,
    memory::Memory,
    process::{Access, Go, Process},
    scenario::Scenario,
    xdp,
};

/// States that are explored at most.
const MOST: usize = 2_000_000;

/// The process that is not a CPU.
const AGENT: usize = CPUS;

/// The whole model at one moment.
#[derive(Clone)]
pub(crate) struct State {
    pub memory: Memory,
    cpus: [Process<usize>; CPUS],
    agent: Process<agent::At>,
    kills: u8,
}

/// The next possible events.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A process goes one step further; with its choice, where it has one.
    Step(u8, u8),
    /// A store of a CPU is seen.
    Flush(u8, u8),
    /// SIGKILL, and the next agent starts.
    Kill,
}

/// An exploration's result.
#[derive(Debug)]
pub(crate) struct Explored {
    /// Different states.
    pub states: usize,
    /// How a rule of the judge was broken, and the steps that led there.
    pub counterexample: Option<String>,
}

impl State {
    fn new(scenario: &Scenario) -> Self {
        let mut memory = Memory::new(scenario.weak);
        memory.busy = scenario.packets.each_ref().map(|packets| !packets.is_empty());
        let cpu = |busy: bool| Process { at: busy.then_some(0), ..Process::new(0) };
        Self {
            cpus: memory.busy.map(cpu),
            memory,
            agent: Process::new(agent::At::start(scenario)),
            kills: scenario.kills,
        }
    }

    /// Lets a process go one step further. `None`: the process has to wait, or has ended.
    fn advance(&mut self, scenario: &Scenario, who: usize, choice: u8) -> Option<(Op, Option<String>)> {
        if who == AGENT {
            let code = |at: &agent::At, access: &mut Access<'_>| agent::run(scenario, at, access);
            return self.agent.advance(who, &mut self.memory, choice.into(), code);
        }
        let packets = &scenario.packets[who];
        let code = |at: &usize, access: &mut Access<'_>| -> Go<Option<usize>> {
            let Some(packet) = packets.get(*at) else { return Ok(None) };
            let number = scenario.first_number(who) + at;
            xdp::packet(scenario, who, *packet, number, at + 1 < packets.len(), access)?;
            Ok(Some(at + 1))
        };
        self.cpus[who].advance(who, &mut self.memory, choice.into(), code)
    }

    fn happen(&mut self, scenario: &Scenario, event: Event) -> Option<(Op, Option<String>)> {
        match event {
            Event::Step(who, choice) => return self.advance(scenario, who.into(), choice),
            Event::Flush(cpu, at) => self.memory.flush(cpu.into(), at.into()),
            Event::Kill => {
                self.memory.kill();
                self.agent = Process::new(agent::At::recover(scenario));
                self.kills -= 1;
            }
        }
        None
    }

    fn is_over(&self) -> bool {
        self.agent.at.is_none() && self.cpus.iter().all(|cpu| cpu.at.is_none())
    }

    /// The whole state as octets: equal states and no others give the same.
    fn encode(&self, into: &mut Vec<u8>) {
        self.memory.encode(into);
        for cpu in &self.cpus {
            cpu.encode(into, |at, into| into.push(u8::try_from(*at).expect("few packets")));
        }
        self.agent.encode(into, agent::At::encode);
        into.push(self.kills);
    }
}

/// The states met so far, and how.
struct Met {
    states: HashSet<Box<[u8]>>,
    /// The state before, and the event that followed.
    ways: Vec<(u32, Event)>,
}

/// Explores a scenario, up to the first counterexample.
pub(crate) fn explore(scenario: &Scenario) -> Explored {
    let start = State::new(scenario);
    let mut octets = Vec::new();
    let mut met = Met { states: HashSet::new(), ways: vec![(0, Event::Kill)] };
    let mut level = vec![(start, 0)];
    while !level.is_empty() {
        let mut next = Vec::new();
        assert!(met.ways.len() < MOST, "more states than a test has time for");
        for (state, number) in level {
            let fault = successors(scenario, &state, |event, after| {
                octets.clear();
                after.encode(&mut octets);
                if !met.states.contains(octets.as_slice()) {
                    met.states.insert(octets.as_slice().into());
                    next.push((after, u32::try_from(met.ways.len()).expect("few states")));
                    met.ways.push((number, event));
                }
            });
            if let Some((fault, event)) = fault {
                let counterexample = Some(tell(scenario, &met, number, event, &fault));
                return Explored { states: met.ways.len(), counterexample };
            }
        }
        level = next;
    }
    Explored { states: met.ways.len(), counterexample: None }
}

/// Hands every state that may follow to `sink`; gives a broken rule, and the event that broke it.
fn successors(
    scenario: &Scenario,
    state: &State,
    mut sink: impl FnMut(Event, State),
) -> Option<(String, Option<Event>)> {
    if state.is_over() {
        return judge::end(scenario, &state.memory).err().map(|fault| (fault, None));
    }
    let mut stuck = true;
    // A step whose time no other process can observe comes first: it leads to the same states later.
    let only_agent = state.agent.at.is_some() && state.agent.is_private;
    for who in if only_agent { AGENT } else { 0 }..=AGENT {
        let mut choices = 1;
        let mut choice = 0;
        while choice < choices {
            let event = Event::Step(u8::try_from(who).expect("few processes"), choice);
            let mut after = state.clone();
            let Some((op, fault)) = after.happen(scenario, event) else { break };
            if let Op::Choose(of) = op {
                choices = u8::try_from(of).expect("few choices");
            }
            let fault = fault.or_else(|| judge::always(scenario, &after.memory).err());
            if let Some(fault) = fault {
                return Some((fault, Some(event)));
            }
            stuck = false;
            sink(event, after);
            choice += 1;
        }
    }
    if stuck {
        return Some(("nobody can go on".to_owned(), None));
    }
    if state.kills > 0 && state.agent.at.is_some() {
        let mut after = state.clone();
        after.happen(scenario, Event::Kill);
        sink(Event::Kill, after);
    }
    if !only_agent {
        flushes(state, sink);
    }
    None
}

fn flushes(state: &State, mut sink: impl FnMut(Event, State)) {
    for cpu in 0..CPUS {
        for at in state.memory.may_flush(cpu) {
            let mut after = state.clone();
            after.memory.flush(cpu, at);
            let small = |number| u8::try_from(number).expect("a small number");
            sink(Event::Flush(small(cpu), small(at)), after);
        }
    }
}

/// The way to a counterexample, a line a step.
fn tell(scenario: &Scenario, met: &Met, mut number: u32, last: Option<Event>, fault: &str) -> String {
    let mut events: Vec<Event> = last.into_iter().collect();
    while number != 0 {
        let (before, event) = met.ways[number as usize];
        events.push(event);
        number = before;
    }
    let mut text = String::new();
    let mut state = State::new(scenario);
    for event in events.into_iter().rev() {
        let op = state.happen(scenario, event);
        let line = match (event, op) {
            (Event::Step(who, _), Some((op, _))) if usize::from(who) == AGENT => format!("agent: {op:?}"),
            (Event::Step(who, _), Some((op, _))) => format!("CPU {who}: {op:?}"),
            (event, _) => format!("{event:?}"),
        };
        writeln!(text, "{line}").expect("a string takes it");
    }
    writeln!(text, "{:?}{fault}", state.memory).expect("a string takes it");
    text
}
