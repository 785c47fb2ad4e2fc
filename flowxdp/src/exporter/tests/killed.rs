//! Agents that are killed after their collector broke or refused: the next one loses nothing.

use std::{cell::RefCell, net::UdpSocket, path::Path, rc::Rc};

use flowxdp_common::{
    journal,
    reason::Undelivered,
    slot::{FREE, retired},
};

use super::{collector::some, *};
use crate::keeper::memory::Memory;

/// An agent that goes on with what is in memory and in the folder, if it has one.
fn agent(memory: &Memory, url: &str, spool: Option<&Path>) -> (Driver, Keeping) {
    let keeping = Rc::new(RefCell::new(memory.keeper()));
    let (limit, age) = (1 << 30, Duration::from_secs(3_600));
    let spool = spool.map(|spool| SpoolPlace { directory: spool.to_owned(), limit, age });
    let settings = Settings { spool, keeper: Some(Rc::clone(&keeping)), ..settings() };
    (Driver::with(url, TlsSettings::default(), &settings), keeping)
}

/// Pushes records of these slots, each of three packets.
fn push(memory: &Memory, driver: &mut Driver, keeping: &Keeping, slots: Range<u16>) {
    let now = driver.now();
    for slot in slots {
        let ticket = memory.retire(&mut keeping.borrow_mut(), slot.into(), 1);
        let mut record = record(slot).with(|flow| flow.octets = 300);
        record.ticket = ticket;
        driver.exporter.push(&record, now, false);
    }
}

/// Somebody who listens for datagrams, and the URL.
fn collector() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// An agent that has handed the records of ten slots to its collector.
fn sent_ten(memory: &Memory, url: &str) -> (Driver, Keeping) {
    let (mut driver, keeping) = agent(memory, url, None);
    push(memory, &mut driver, &keeping, 0..10);
    driver.exported(10);
    (driver, keeping)
}

#[test]
fn what_a_broken_connection_took_back_is_on_disk() {
    let (memory, spool) = (Memory::new(), tempfile::tempdir().unwrap());
    let (listener, address) = listen();
    let url = format!("tcp://{address}");
    let (mut driver, keeping) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &keeping, 0..200);
    let collector = spawn(move || {
        reset(accept(&listener), |read| ports(read).len() == 200);
        listener
    });
    driver.exported(200);
    assert!((0..200).all(|slot| memory.state(slot) == FREE));
    driver.until("broken", |exporter| exporter.availability().is_none());
    assert_eq!((driver.exporter.books().queued.records, driver.exporter.books().exported.records), (200, 0));
    // Killed here.
    drop((driver, keeping));
    let (mut driver, keeping) = agent(&memory, &url, Some(spool.path()));
    let books = driver.exporter.books();
    assert_eq!((books.queued.records, books.lost.records, books.perhaps_twice.records), (200, 0, 200));
    let listener = collector.join().unwrap();
    let collector = spawn(move || all(accept(&listener)));
    driver.exported(200);
    let books = driver.end();
    assert_eq!(ports(&collector.join().unwrap()), (0..200).collect::<Vec<_>>());
    assert_eq!((books.exported.records, books.lost.records, books.perhaps_twice.records), (200, 0, 200));
    drop(keeping);
}

#[test]
fn what_a_collector_read_before_it_ended_in_order_is_neither_on_disk_nor_in_memory() {
    let (memory, spool) = (Memory::new(), tempfile::tempdir().unwrap());
    let (listener, address) = listen();
    let url = format!("tcp://{address}");
    let (mut driver, keeping) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &keeping, 0..100);
    // On disk first, then in order behind it what comes while the collector is there.
    let now = driver.now();
    driver.exporter.give_up(Undelivered::AgentKilled, driver.real(), now);
    assert_eq!(driver.exporter.books().queued.records, 100);
    drop((driver, keeping));
    let (mut driver, keeping) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &keeping, 100..200);
    let collector = spawn(move || {
        let read = ports(&some(&mut accept(&listener), |read| ports(read).len() == 200));
        (read, listener)
    });
    driver.until("ended", |exporter| exporter.availability().is_none());
    // Its end is judged before the next connection, which brings templates alone.
    driver.until("connected again", |exporter| exporter.availability().is_some());
    let books = driver.exporter.books();
    assert_eq!((books.exported.records, books.queued.records), (200, 0));
    // Killed here.
    drop((driver, keeping));
    let (read, listener) = collector.join().unwrap();
    assert_eq!(read, (0..200).collect::<Vec<_>>());
    let (mut driver, keeping) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &keeping, 200..210);
    let with_data = move || {
        let sessions = std::iter::repeat_with(|| ports(&all(accept(&listener))));
        sessions.into_iter().find(|ports| !ports.is_empty())
    };
    let collector = spawn(with_data);
    driver.exported(210);
    let books = driver.end();
    assert_eq!(collector.join().unwrap(), Some((200..210).collect::<Vec<_>>()));
    assert_eq!((books.queued.records, books.lost.records, books.perhaps_twice.records), (0, 0, 0));
    drop(keeping);
}

#[test]
fn what_was_refused_is_in_its_slots() {
    let memory = Memory::new();
    let (socket, url) = collector();
    let (mut driver, keeping) = sent_ten(&memory, &url);
    drop(socket);
    push(&memory, &mut driver, &keeping, 10..20);
    driver.until("refused", |exporter| exporter.availability().is_none());
    let books = driver.exporter.books();
    assert_eq!((books.exported.records, books.queued.records), (10, 10));
    assert!((10..20).all(|slot| memory.state(slot) == retired(0)));
    // Killed here.
    drop((driver, keeping));
    let (driver, _keeping) = agent(&memory, &url, None);
    let books = driver.exporter.books();
    // What the refusal took back may have come all the same.
    assert_eq!((books.exported.records, books.lost.records, books.perhaps_twice.records), (10, 0, 10));
}

#[test]
fn slots_of_the_last_message_are_free_once_nothing_refused_it() {
    let memory = Memory::new();
    let (_socket, url) = collector();
    let (mut driver, keeping) = sent_ten(&memory, &url);
    assert!((0..10).all(|slot| memory.state(slot) == retired(1)));
    driver.until("sure", |_| (0..10).all(|slot| memory.state(slot) == FREE));
    assert_eq!(keeping.borrow().waiting(), 0);
}

#[test]
fn what_was_being_spooled_is_named_where_there_is_no_spool_to_look_into() {
    let memory = Memory::new();
    let url = "tcp://127.0.0.1:9";
    let mut keeper = memory.keeper();
    let page = keeper.page(url).unwrap();
    let ticket = memory.retire(&mut keeper, 7, 1);
    let sum = journal::Sum { records: 1, packets: 3, octets: 300 };
    keeper.sending(page, std::iter::once(ticket), &journal::Account { spooled: sum, ..Default::default() });
    // Killed here.
    let (driver, _keeping) = agent(&memory, url, None);
    let books = driver.exporter.books();
    let named = books.perhaps_twice;
    assert_eq!((named.records, named.packets, named.octets), (1, 3, 300));
    assert_eq!((memory.state(7), books.exported.records), (retired(0), 0));
}
