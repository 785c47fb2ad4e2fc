//! Records that do not come back, and how exactly the loss is known.

use std::fs;

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{clock::Now, record::RecordTotal};

use super::super::{Lost, Spool};
use super::{Bench, COLLECTOR, NO_LIMIT, START, assert_same, at, sum, take_all};

const HOUR: u64 = 3_600_000;

fn lost(reason: Undelivered, inherited: bool, total: RecordTotal, messages: u64) -> Lost {
    Lost { reason, inherited, total, messages }
}

#[test]
fn the_oldest_file_gives_way_and_its_unread_records_are_counted() {
    let mut bench = Bench::new(200 << 10);
    let mut spool = bench.open();
    let mut messages = bench.fill(&mut spool, 100);
    let taken = spool.take().unwrap().unwrap();
    assert_same(&[taken], &messages[..1]);
    let mut gone = RecordTotal::default();
    let mut gone_messages = 0;
    while gone_messages < 200 {
        // Checks after each that the limit holds.
        messages.extend(bench.fill(&mut spool, 10));
        for it in spool.take_lost() {
            assert_eq!((it.reason, it.inherited), (Undelivered::SpoolFull, false));
            gone += it.total;
            gone_messages += it.messages;
        }
    }
    // The first was taken before.
    let left = usize::try_from(gone_messages).unwrap() + 1;
    assert_eq!(gone, sum(&messages[1..left]));
    assert_eq!(spool.waiting(), sum(&messages[left..]));
    assert_same(&take_all(&mut spool), &messages[left..]);
}

#[test]
fn a_smaller_limit_holds_from_the_opening_on() {
    let mut bench = Bench::new(1 << 20);
    let mut spool = bench.open();
    let messages = bench.fill(&mut spool, 800);
    drop(spool);
    bench.limit = 100 << 10;
    let mut spool = bench.open();
    assert!(spool.octets() <= bench.limit);
    assert_eq!(spool.inherited(), sum(&messages));
    let [full] = spool.take_lost()[..] else { unreachable!() };
    let left = usize::try_from(full.messages).unwrap();
    assert_eq!(full, lost(Undelivered::SpoolFull, true, sum(&messages[..left]), full.messages));
    assert_same(&take_all(&mut spool), &messages[left..]);
}

#[test]
fn a_message_that_is_longer_than_the_limit_costs_nothing() {
    let mut bench = Bench::new(1700);
    let mut spool = bench.open();
    let small = bench.message(1);
    bench.append(&mut spool, &small);
    let error = spool.append(&bench.message(100), || bench.templates(), at(START)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_same(&take_all(&mut spool), &[small]);
}

#[test]
fn what_is_too_old_expires_message_by_message() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let messages: Vec<_> = (0..10).map(|_| bench.message(2)).collect();
    for (message, minute) in messages.iter().zip(0..) {
        spool.append(message, || bench.templates(), at(START + minute * 60_000)).unwrap();
    }
    assert_same(&[spool.take().unwrap().unwrap()], &messages[..1]);
    spool.expire(at(START + HOUR + 60_000));
    assert_eq!(spool.take_lost(), []);
    spool.expire(at(START + HOUR + 3 * 60_000 + 1_000));
    assert_eq!(spool.take_lost(), [lost(Undelivered::SpoolExpired, false, sum(&messages[1..4]), 3)]);
    assert_eq!(spool.waiting(), sum(&messages[4..]));
    drop(spool);
    // The first was taken and not delivered.
    let late = START + HOUR + 7 * 60_000 + 1_000;
    let mut spool = Spool::open(bench.settings(), COLLECTOR, late).unwrap();
    assert_eq!(spool.take_lost(), [lost(Undelivered::SpoolExpired, true, sum(&messages[..8]), 8)]);
    assert_same(&take_all(&mut spool), &messages[8..]);
    drop(spool);
    let mut spool = Spool::open(bench.settings(), COLLECTOR, START + 3 * HOUR).unwrap();
    assert_eq!(spool.take_lost(), [lost(Undelivered::SpoolExpired, true, sum(&messages), 10)]);
    assert_eq!((spool.inherited(), bench.segments().len()), (sum(&messages), 0));
}

#[test]
fn the_time_of_day_makes_nothing_older_or_younger_when_it_is_set() {
    const DAY: u64 = 24 * HOUR;
    let minute = |minute: u64, wall_ms: u64| Now::new(minute * 60_000_000_000, wall_ms);
    for set in [START + 2 * DAY, START - 2 * DAY] {
        let mut bench = Bench::new(NO_LIMIT);
        let mut spool = bench.open();
        let messages: Vec<_> = (0..2).map(|_| bench.message(2)).collect();
        spool.append(&messages[0], || bench.templates(), minute(0, START)).unwrap();
        spool.expire(minute(1, set));
        // Half an hour later.
        spool.append(&messages[1], || bench.templates(), minute(30, set + HOUR / 2)).unwrap();
        spool.expire(minute(59, set + HOUR));
        assert_eq!(spool.take_lost(), [], "set to {set}");
        spool.expire(minute(61, set + HOUR));
        assert_eq!(
            spool.take_lost(),
            [lost(Undelivered::SpoolExpired, false, sum(&messages[..1]), 1)],
            "set to {set}"
        );
        spool.expire(minute(91, set + 2 * HOUR));
        assert_eq!(
            spool.take_lost(),
            [lost(Undelivered::SpoolExpired, false, sum(&messages[1..]), 1)],
            "set to {set}"
        );
    }
}

#[test]
fn a_message_without_its_template_is_lost_and_the_others_are_not() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let messages = bench.fill(&mut spool, 3);
    drop(spool);
    let path = bench.segments().remove(0);
    let mut file = fs::read(&path).unwrap();
    // The second message's first set.
    let at = file.len() - messages[2].bytes.len() - messages[1].bytes.len() + 16;
    file[at] = 0x70;
    fs::write(&path, &file).unwrap();
    let mut spool = bench.open();
    let [unreadable] = spool.take_lost()[..] else { unreachable!() };
    assert_eq!(
        (unreadable.reason, unreadable.inherited, unreadable.messages),
        (Undelivered::SpoolUnreadable, true, 1)
    );
    let mut expected = sum([&messages[0], &messages[2]]);
    expected += unreadable.total;
    assert_eq!(spool.inherited(), expected);
    let others = [messages[0].clone(), messages[2].clone()];
    assert_same(&take_all(&mut spool), &others);
    // Messages behind octets that are no message cannot be found.
    file.truncate(at - 16);
    file.extend([9; 100]);
    fs::write(&path, &file).unwrap();
    drop(spool);
    let mut spool = bench.open();
    assert_eq!(spool.take_lost(), [lost(Undelivered::SpoolUnreadable, true, RecordTotal::default(), 1)]);
    assert_same(&take_all(&mut spool), &messages[..1]);
}

#[test]
fn a_file_that_is_damaged_or_removed_behind_our_back_is_lost() {
    for damage in 0..3 {
        let mut bench = Bench::new(NO_LIMIT);
        let mut spool = bench.open();
        let messages = bench.fill(&mut spool, 5);
        let path = bench.segments().remove(0);
        match damage {
            0 => fs::remove_file(path).unwrap(),
            1 => fs::write(path, b"").unwrap(),
            _ => fs::write(path, [9; 2000]).unwrap(),
        }
        assert!(spool.take().unwrap().is_none());
        assert_eq!(spool.take_lost(), [lost(Undelivered::SpoolUnreadable, false, sum(&messages), 5)]);
        assert_eq!(spool.waiting(), RecordTotal::default());
        // And it goes on.
        let more = bench.message(4);
        spool.append(&more, || bench.templates(), at(START)).unwrap();
        assert_same(&take_all(&mut spool), &[more]);
    }
}
