//! Agents that are killed after their collector broke or refused: the next one loses nothing.

use std::{cell::RefCell, net::UdpSocket, path::Path, rc::Rc};

use flowxdp_common::{
    journal,
    reason::Undelivered,
    slot::{FREE, retired},
};

use super::{collector::some, *};
use crate::exporting::deliveries::memory::Memory;

/// An agent that resumes from memory and from the folder, if it has one.
fn agent(memory: &Memory, url: &str, spool: Option<&Path>) -> (Driver, SharedLedger) {
    let ledger = Rc::new(RefCell::new(memory.ledger()));
    let (limit, age) = (1 << 30, Duration::from_secs(3_600));
    let spool = spool.map(|spool| SpoolPlace { directory: spool.to_owned(), limit, age });
    let settings = Settings { spool, ledger: Some(Rc::clone(&ledger)), ..settings() };
    (Driver::with(url, TlsSettings::default(), &settings), ledger)
}

/// Pushes records of these slots, each of three packets.
fn push(memory: &Memory, driver: &mut Driver, ledger: &SharedLedger, slots: Range<u16>) {
    let now = driver.now();
    for slot in slots {
        let delivery = memory.retire(&mut ledger.borrow_mut(), slot.into(), 1);
        let mut record = record(slot).with(|flow| flow.octets = 300);
        record.delivery = delivery;
        driver.exporter.push(&record, now, false);
    }
}

/// A listening UDP socket, and its URL.
fn collector() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// An agent that has handed the records of ten slots to its collector.
fn sent_ten(memory: &Memory, url: &str) -> (Driver, SharedLedger) {
    let (mut driver, ledger) = agent(memory, url, None);
    push(memory, &mut driver, &ledger, 0..10);
    driver.exported(10);
    (driver, ledger)
}

#[test]
fn what_a_broken_connection_took_back_is_on_disk() {
    let (memory, spool) = (Memory::new(), tempfile::tempdir().unwrap());
    let (listener, address) = listen();
    let url = format!("tcp://{address}");
    let (mut driver, ledger) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &ledger, 0..200);
    let collector = spawn(move || {
        reset(accept(&listener), |read| ports(read).len() == 200);
        listener
    });
    driver.exported(200);
    assert!((0..200).all(|slot| memory.state(slot) == FREE));
    driver.until("broken", |exporter| exporter.availability().is_none());
    assert_eq!((driver.exporter.books().queued.records, driver.exporter.books().exported.records), (200, 0));
    // Killed here.
    drop((driver, ledger));
    let (mut driver, ledger) = agent(&memory, &url, Some(spool.path()));
    let books = driver.exporter.books();
    assert_eq!((books.queued.records, books.lost.records, books.perhaps_twice.records), (200, 0, 200));
    let listener = collector.join().unwrap();
    let collector = spawn(move || all(accept(&listener)));
    driver.exported(200);
    let books = driver.end();
    assert_eq!(ports(&collector.join().unwrap()), (0..200).collect::<Vec<_>>());
    assert_eq!((books.exported.records, books.lost.records, books.perhaps_twice.records), (200, 0, 200));
    drop(ledger);
}

#[test]
fn what_a_collector_read_before_it_ended_in_order_is_neither_on_disk_nor_in_memory() {
    let (memory, spool) = (Memory::new(), tempfile::tempdir().unwrap());
    let (listener, address) = listen();
    let url = format!("tcp://{address}");
    let (mut driver, ledger) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &ledger, 0..100);
    // Messages on disk first, then those that come while the collector is there, in order.
    let now = driver.now();
    driver.exporter.give_up(Undelivered::AgentKilled, driver.real(), now);
    assert_eq!(driver.exporter.books().queued.records, 100);
    drop((driver, ledger));
    let (mut driver, ledger) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &ledger, 100..200);
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
    drop((driver, ledger));
    let (read, listener) = collector.join().unwrap();
    assert_eq!(read, (0..200).collect::<Vec<_>>());
    let (mut driver, ledger) = agent(&memory, &url, Some(spool.path()));
    push(&memory, &mut driver, &ledger, 200..210);
    let with_data = move || {
        let sessions = std::iter::repeat_with(|| ports(&all(accept(&listener))));
        sessions.into_iter().find(|ports| !ports.is_empty())
    };
    let collector = spawn(with_data);
    driver.exported(210);
    let books = driver.end();
    assert_eq!(collector.join().unwrap(), Some((200..210).collect::<Vec<_>>()));
    assert_eq!((books.queued.records, books.lost.records, books.perhaps_twice.records), (0, 0, 0));
    drop(ledger);
}

#[test]
fn what_was_refused_is_in_its_slots() {
    let memory = Memory::new();
    let (socket, url) = collector();
    let (mut driver, ledger) = sent_ten(&memory, &url);
    drop(socket);
    push(&memory, &mut driver, &ledger, 10..20);
    driver.until("refused", |exporter| exporter.availability().is_none());
    let books = driver.exporter.books();
    assert_eq!((books.exported.records, books.queued.records), (10, 10));
    assert!((10..20).all(|slot| memory.state(slot) == retired(0)));
    // Killed here.
    drop((driver, ledger));
    let (driver, _ledger) = agent(&memory, &url, None);
    let books = driver.exporter.books();
    // Revoked records may have come all the same.
    assert_eq!((books.exported.records, books.lost.records, books.perhaps_twice.records), (10, 0, 10));
}

#[test]
fn slots_of_the_last_message_are_free_once_nothing_refused_it() {
    let memory = Memory::new();
    let (_socket, url) = collector();
    let (mut driver, ledger) = sent_ten(&memory, &url);
    assert!((0..10).all(|slot| memory.state(slot) == retired(1)));
    driver.until("sure", |_| (0..10).all(|slot| memory.state(slot) == FREE));
    assert_eq!(ledger.borrow().waiting(), 0);
}

#[test]
fn what_was_being_spooled_is_named_where_there_is_no_spool_to_look_into() {
    let memory = Memory::new();
    let url = "tcp://127.0.0.1:9";
    let mut ledger = memory.ledger();
    let page = ledger.page(url).unwrap();
    let delivery = memory.retire(&mut ledger, 7, 1);
    let sum = journal::Sum { records: 1, packets: 3, octets: 300 };
    ledger.sending(page, std::iter::once(delivery), &journal::Terms { spooled: sum, ..Default::default() });
    // Killed here.
    let (driver, _ledger) = agent(&memory, url, None);
    let books = driver.exporter.books();
    let named = books.perhaps_twice;
    assert_eq!((named.records, named.packets, named.octets), (1, 3, 300));
    assert_eq!((memory.state(7), books.exported.records), (retired(0), 0));
}
