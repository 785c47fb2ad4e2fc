//! Verbs of the control socket: books at any moment, and a flush in the middle.

use std::{net::UdpSocket, thread::spawn};

use serde_json::Value;
use tokio::sync::oneshot::Receiver;

use super::*;
use crate::{
    agent::control::{Reply, verbs},
    exporting::exporter::tests::collector::{accept, all, listen, ports},
};

type Answer = Receiver<Arc<[u8]>>;

/// A question with this verb, and its answer to come.
pub(super) fn question(verb: &str) -> (Question, Answer) {
    let (reply, answer) = Reply::new();
    (Question { verb: verbs::find(verb).unwrap(), reply }, answer)
}

impl World {
    fn ask(&mut self, verb: &str) -> Answer {
        let (question, answer) = question(verb);
        self.take(Event::Asked(question));
        answer
    }

    /// Turns until the answer is there; gives it, and the simulated time that it took.
    fn answered(&mut self, mut answer: Answer) -> (Value, u64) {
        let mut text = None;
        let took = self.until("answered", |_| {
            text = answer.try_recv().ok();
            text.is_some()
        });
        (serde_json::from_slice(&text.unwrap()).unwrap(), took)
    }
}

#[test]
fn a_flush_in_the_middle_exports_the_table_and_metering_continues() {
    let (listener, address) = listen();
    let mut world = World::new(&[format!("tcp://{address}")], Rules::live(false));
    world.meter(0..500, u64::MAX);
    let reading = spawn(move || all(accept(&listener)));
    world.until("three seconds on", |it| it.time > 103 * SECOND);
    assert_eq!(world.flows().table.len(), 500);
    let answer = world.ask("flush");
    let (object, took) = world.answered(answer);
    assert_eq!(object["flushed"]["records"], 500);
    assert_eq!((&object["flushed"]["packets"], &object["queued"]["records"]), (&1_500.into(), &0.into()));
    assert!(took < SECOND && world.engine.is_running() && world.flows().stopped == 0);
    // Later flows retire by their own timeouts.
    world.meter(500..600, 2 * SECOND);
    world.until("retired", |it| it.flows().table.is_empty());
    let (_, books) = world.end();
    let read = reading.join().unwrap();
    assert_eq!(ports(&read), (0..600).collect::<Vec<_>>());
    assert!(books.balance() && books.exported.packets == 1_800, "{books:?}");
    // End reasons: forced for the first 500, idle timeout for the rest.
    assert_eq!(reasons(&read), [vec![4; 500], vec![1; 100]].concat());
}

/// flowEndReason of each record, which is the last octet of a record in the test's template.
fn reasons(read: &[crate::exporting::exporter::tests::collector::Message]) -> Vec<u8> {
    let mut reasons = Vec::new();
    let (mut place, mut length) = (0, 0);
    for (id, body) in read.iter().flat_map(|message| &message.sets) {
        if *id == 2 && length == 0 {
            let fields = body[4..].chunks(4).take(usize::from(u16::from_be_bytes([body[2], body[3]])));
            for field in fields {
                if field[..2] == [0, 136] {
                    place = length;
                }
                length += usize::from(field[3]);
            }
        } else if (288..304).contains(id) {
            reasons.extend(body.chunks_exact(length).map(|record| record[place]));
        }
    }
    reasons
}

#[test]
fn a_flush_to_a_collector_that_is_away_says_what_is_queued() {
    let mut world = World::new(&["tcp://127.0.0.1:9".to_owned()], Rules::live(false));
    world.meter(0..10, u64::MAX);
    let answer = world.ask("flush");
    let (object, took) = world.answered(answer);
    assert_eq!((&object["flushed"]["records"], &object["queued"]["records"]), (&10.into(), &10.into()));
    assert!((5 * SECOND..7 * SECOND).contains(&took), "{} ms", took / MILLISECOND);
    // Nothing was given up.
    assert_eq!(world.engine.books().unwrap().lost.len(), 0);
}

#[test]
fn a_flush_that_no_collector_has_room_for_is_an_error_and_the_rest_stays() {
    let mut world = World::new(&["tcp://127.0.0.1:9".to_owned()], Rules::live(false));
    (0..30).for_each(|_| world.meter(0..10_000, u64::MAX));
    let answer = world.ask("flush");
    let (object, _) = world.answered(answer);
    assert!(object["error"].as_str().unwrap().contains("no collector has room"), "{object}");
    assert!(!world.flows().table.is_empty());
    let answer = world.ask("books");
    let (books, took) = world.answered(answer);
    assert_eq!(books["seen"]["packets"], 900_000);
    assert!(took <= STEP, "{took} ns");
}

#[test]
fn two_flushes_share_one_sweep_and_one_that_comes_later_takes_what_is_new() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let mut world = World::new(&[url], Rules::live(false));
    world.step();
    world.meter(0..10, u64::MAX);
    let answers = [world.ask("flush"), world.ask("flush")];
    for answer in answers {
        assert_eq!(world.answered(answer).0["flushed"]["records"], 10);
    }
    assert_eq!(world.flows().sweeps.len(), 2);
    world.meter(10..13, u64::MAX);
    let answer = world.ask("flush");
    assert_eq!(world.answered(answer).0["flushed"]["records"], 3);
}

#[test]
fn the_books_are_given_while_the_agent_ends_and_a_flush_is_refused() {
    let mut world = World::new(&["tcp://127.0.0.1:9".to_owned()], Rules::live(false));
    world.meter(0..10, u64::MAX);
    let before = world.ask("flush");
    world.step();
    world.take(Event::Stop);
    let (books, flush) = (world.ask("books"), world.ask("flush"));
    assert_eq!(world.answered(books).0["seen"]["packets"], 30);
    for refused in [before, flush] {
        let (object, _) = world.answered(refused);
        assert!(object["error"].as_str().unwrap().contains("ending"), "{object}");
    }
}

#[test]
fn the_configuration_is_given_as_the_file_that_makes_it() {
    let mut world = World::new(&["tcp://127.0.0.1:9".to_owned()], Rules::live(false));
    world.engine.configured("[monitor]\n".to_owned());
    let mut answer = world.ask("config");
    world.step();
    assert_eq!(answer.try_recv().unwrap()[..], *b"[monitor]\n");
}
