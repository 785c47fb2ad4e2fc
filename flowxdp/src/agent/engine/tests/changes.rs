//! Reloads that change exporters: sessions that stay, collectors that come and go, and the books meanwhile.

use std::{net::UdpSocket, thread::spawn};

use flowxdp_core::books::Collector;

use super::{controlled::question, *};
use crate::{
    config::Config,
    exporting::exporter::tests::collector::{Message, accept, all, listen, messages, ports},
};

impl World {
    /// Reloads with these collectors, and other changes; gives the answer.
    fn reload(&mut self, urls: &[&str], change: impl FnOnce(&mut Config)) -> serde_json::Value {
        let mut config =
            Config { exporter: urls.iter().map(|url| url.parse().unwrap()).collect(), ..Config::default() };
        config.exporting.pace = 0;
        config.exporting.options_interval = Duration::from_secs(3_600);
        change(&mut config);
        let settings = Settings::new(&config, self.settings.system_start_ms, &self.readiness, None);
        self.engine.metering_mut().next = Some((config, settings));
        let (question, mut answer) = question("reload");
        self.take(Event::Asked(question));
        let mut text = None;
        self.until("answered", |it| {
            text = answer.try_recv().ok();
            assert!(it.engine.books().unwrap().balance());
            text.is_some()
        });
        serde_json::from_slice(&text.unwrap()).unwrap()
    }

    /// Turns until `done` of the books, which balance all the time.
    fn books_until(&mut self, what: &str, done: impl Fn(&Books) -> bool) -> Books {
        let mut books = Books::default();
        self.until(what, |it| {
            books = it.engine.books().unwrap();
            assert!(books.balance(), "{books:?}");
            done(&books)
        });
        books
    }

    /// All of these flows retire now, into the queues of their collectors.
    fn retire(&mut self, ports: std::ops::Range<u16>) {
        self.meter(ports, 0);
        self.until("retired", |it| it.flows().table.is_empty());
    }
}

/// A collector over UDP, and its URL.
fn udp() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// All messages that arrived.
fn arrived(socket: &UdpSocket) -> Vec<Message> {
    let mut octets = vec![0; 65_536];
    let mut all = Vec::new();
    while let Ok(count) = socket.recv(&mut octets) {
        all.extend_from_slice(&octets[..count]);
    }
    messages(&all)
}

fn all_of(range: std::ops::Range<u16>) -> Vec<u16> {
    range.collect()
}

#[test]
fn a_collector_that_is_replaced_gets_its_queue_and_the_new_one_the_rest() {
    let ((one, first), (two, second)) = (udp(), udp());
    let mut world = World::new(std::slice::from_ref(&first), Rules::live(false));
    world.retire(0..100);
    assert_eq!(world.reload(&[&second], |_| {})["reloaded"], serde_json::json!([]));
    let books = world.engine.books().unwrap();
    assert!(books.collectors[&first].ending && books.collectors[&first].alone);
    world.retire(100..150);
    let books = world.books_until("through", |it| it.collectors.len() == 1 && it.queued.packets == 0);
    assert_eq!((ports(&arrived(&one)), ports(&arrived(&two))), (all_of(0..100), all_of(100..150)));
    let collector = &books.collectors[&second];
    assert_eq!((collector.before.records, collector.exported.records), (100, 50));
    assert_eq!((books.exported.packets, books.seen.packets), (450, 450));
}

#[test]
fn a_queue_that_a_removed_collector_does_not_take_is_named() {
    let (two, second) = udp();
    let mut world = World::new(&["tcp://127.0.0.1:9".to_owned()], Rules::live(false));
    world.retire(0..10);
    world.reload(&[&second], |_| {});
    world.retire(10..15);
    let books = world.books_until("through", |it| it.collectors.len() == 1 && it.queued.packets == 0);
    assert_eq!((books.lost["collector_unreachable"].packets, books.exported.packets), (30, 15));
    assert_eq!(ports(&arrived(&two)), all_of(10..15));
}

#[test]
fn a_collector_that_comes_beside_another_is_owed_nothing_of_before() {
    let ((one, first), (two, second)) = (udp(), udp());
    let mut world = World::new(std::slice::from_ref(&first), Rules::live(false));
    world.retire(0..100);
    world.reload(&[&second, &first], |_| {});
    world.retire(100..150);
    let books = world.books_until("exported", |it| it.exported.packets == 450);
    assert_eq!((ports(&arrived(&one)), ports(&arrived(&two))), (all_of(0..150), all_of(100..150)));
    assert_eq!((books.collectors[&first].before.records, books.collectors[&second].before.records), (0, 100));
    // Either one covers all.
    world.reload(&[&second], |_| {});
    let books = world.books_until("removed", |it| it.collectors.len() == 1);
    assert_eq!(books.exported.packets, 450);
}

#[test]
fn where_each_record_goes_to_one_collector_a_removed_one_leaves_its_terms() {
    let ((one, first), (two, second)) = (udp(), udp());
    let mut world = World::new(&[first.clone(), second.clone()], Rules::live(false));
    // A strategy of the start.
    world.engine.begin(
        Dispatch::new(
            [&first, &second]
                .map(|url| {
                    let at = AgentTime::new(world.time);
                    let tls = TlsSettings::default();
                    Exporter::new(url.parse().unwrap(), tls, &world.settings, at, T0).unwrap()
                })
                .into(),
            Strategy::Balance,
            0,
            None,
        ),
        Reporter::new(1, T0 - 100_000),
    );
    world.retire(0..100);
    let balance = |config: &mut Config| config.exporting.strategy = Strategy::Balance;
    world.reload(&[&second], balance);
    world.retire(100..150);
    world.books_until("exported", |it| it.collectors.len() == 1 && it.exported.packets == 450);
    let mut both = [ports(&arrived(&one)), ports(&arrived(&two))].concat();
    both.sort_unstable();
    assert_eq!(both, all_of(0..150));
}

#[test]
fn a_strategy_changes_while_the_books_balance() {
    let ((one, first), (two, second)) = (udp(), udp());
    let mut world = World::new(std::slice::from_ref(&first), Rules::live(false));
    world.retire(0..100);
    let balance = |config: &mut Config| config.exporting.strategy = Strategy::Balance;
    world.reload(&[&first, &second], balance);
    world.retire(100..210);
    world.reload(&[&first, &second], |_| {});
    world.retire(210..250);
    let books = world.books_until("replicated", |it| it.exported.packets == 750 && it.queued.packets == 0);
    let (mut of_one, mut of_two) = (arrived(&one), arrived(&two));
    let mut divided = Vec::new();
    for (messages, url) in [(&of_one, &first), (&of_two, &second)] {
        let (last, before): (Vec<u16>, Vec<u16>) = ports(messages).into_iter().partition(|port| *port >= 210);
        divided.extend(before);
        let Collector { before, exported, lost, .. } = &books.collectors[url];
        assert_eq!((last, before.records + exported.records, lost.records), (all_of(210..250), 250, 0));
    }
    divided.sort_unstable();
    assert_eq!(divided, all_of(0..210));
    let refused = world.reload(&[&first, &second], balance);
    assert!(refused["error"].as_str().unwrap().contains("leave one collector"), "{refused}");
    world.reload(&[&second], |_| {});
    world.books_until("removed", |it| it.collectors.len() == 1);
    world.reload(&[&second, &first], balance);
    world.retire(250..350);
    world.books_until("divided", |it| it.exported.packets == 1050);
    of_one.extend(arrived(&one));
    of_two.extend(arrived(&two));
    let mut last = [ports(&of_one), ports(&of_two)].concat();
    last.retain(|port| *port >= 250);
    last.sort_unstable();
    assert_eq!(last, all_of(250..350));
}

#[test]
fn other_fields_and_another_domain_keep_the_connection_and_the_sequence() {
    let (listener, address) = listen();
    let url = format!("tcp://{address}");
    let mut world = World::new(std::slice::from_ref(&url), Rules::live(false));
    let reading = spawn(move || all(accept(&listener)));
    world.retire(0..100);
    world.reload(&[&format!("{url}?fields=default,-minimumTTL")], |_| {});
    world.retire(100..200);
    world.books_until("exported", |it| it.exported.packets == 600);
    world.reload(&[&url], |config| config.exporting.observation_domain = 7);
    world.retire(200..300);
    let (_, books) = world.end();
    assert!(books.balance() && books.exported.packets == 900 && books.collectors.len() == 1, "{books:?}");
    let read = reading.join().unwrap();
    assert_eq!(ports(&read), all_of(0..300));
    let is_flows = |message: &&Message| message.sets.iter().any(|(id, _)| *id >= 283);
    let last = read.iter().filter(|it| it.domain == 1).rfind(is_flows).unwrap();
    assert!(last.sequence > 100, "{last:?}");
    assert!(read.iter().filter(|it| it.domain == 7).any(|it| is_flows(&it)));
}

#[test]
fn a_datagram_collector_follows_a_change_without_a_gap_in_its_sequence() {
    let (socket, url) = udp();
    let mut world = World::new(std::slice::from_ref(&url), Rules::live(false));
    world.retire(0..100);
    world.books_until("exported", |it| it.exported.packets == 300);
    for (number, changed) in ["?mtu=900", "?mtu=900&fields=default,-minimumTTL", ""].iter().enumerate() {
        world.reload(&[&format!("{url}{changed}")], |_| {});
        let first = 100 * (u16::try_from(number).unwrap() + 1);
        world.retire(first..first + 100);
    }
    world.books_until("exported", |it| it.exported.packets == 1_200 && it.collectors.len() == 1);
    let read = arrived(&socket);
    assert_eq!(ports(&read), all_of(0..400));
    let mut next = 0;
    for message in read.iter().filter(|message| message.domain == 1) {
        assert_eq!(message.sequence, next);
        next += u32::try_from(ports_of(message, &read)).unwrap();
    }
}

/// Data records of a message: flows by the templates of all, and options.
fn ports_of(message: &Message, all: &[Message]) -> usize {
    let templates: Vec<(u16, Vec<u8>)> =
        all.iter().flat_map(|it| it.sets.clone()).filter(|(id, _)| *id == 2).collect();
    let flows = Message {
        sequence: 0,
        domain: 1,
        sets: templates
            .into_iter()
            .chain(message.sets.iter().filter(|(id, _)| *id >= 283).cloned())
            .collect(),
    };
    let options = message.sets.iter().filter(|(id, _)| (256..283).contains(id)).count();
    ports(&[flows]).len() + options
}

#[test]
fn a_change_that_cannot_be_prepared_is_refused_and_nothing_changes() {
    let (socket, url) = udp();
    let mut world = World::new(std::slice::from_ref(&url), Rules::live(false));
    let answer = world.reload(&[&url, "tls://127.0.0.1:9?ca=/nonexistent/ca.pem"], |config| {
        config.exporting.observation_domain = 9;
    });
    assert!(answer["error"].as_str().unwrap().contains("/nonexistent/ca.pem"), "{answer}");
    assert_eq!(world.engine.books().unwrap().collectors.len(), 1);
    world.retire(0..10);
    world.books_until("exported", |it| it.exported.packets == 30);
    assert!(arrived(&socket).iter().all(|message| message.domain < 2));
}
