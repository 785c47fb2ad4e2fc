//! The files as others see them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use flowxdp_core::exporting::spool::{Content, Messages, Start, Templates};

use super::super::Spool;
use super::{Bench, COLLECTOR, NO_LIMIT, START, assert_same, at, take_all};

#[test]
fn each_file_is_consistent_by_itself() {
    let mut bench = Bench::new(2 << 20);
    let mut spool = bench.open();
    for minute in 0..30_u64 {
        let messages: Vec<_> = (0..20).map(|_| bench.message(100)).collect();
        // The clock goes back now and then.
        let wall_ms = START + 60_000 * (minute ^ 1);
        messages.iter().for_each(|it| spool.append(it, || bench.templates(), at(wall_ms)).unwrap());
    }
    assert!(bench.segments().len() > 3);
    for path in bench.segments() {
        let file = fs::read(path).unwrap();
        let (mut messages, mut templates) = (Messages::new(&file), Templates::default());
        let contents: Vec<Content> = messages.by_ref().map(|message| templates.read(message)).collect();
        assert_eq!(messages.rest(), Start::End);
        assert!(contents[0].has_templates && contents[0].counted == 0);
        assert!(contents[1..].iter().all(|it| !it.has_templates && it.counted > 0 && it.fault.is_none()));
        assert!(contents.is_sorted_by_key(|it| it.export_secs));
        let mut sequence = 0;
        for content in contents {
            assert_eq!(content.sequence, sequence);
            sequence += content.counted;
        }
        assert!(file.len() <= 2 << 16);
    }
}

#[test]
fn nobody_else_reads_and_one_agent_writes() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    bench.fill(&mut spool, 1);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(bench.folder()), 0o700);
    for entry in fs::read_dir(bench.folder()).unwrap() {
        assert_eq!(mode(entry.unwrap().path()), 0o600);
    }
    let error = Spool::open(bench.settings(), COLLECTOR, START).unwrap_err();
    assert!(error.to_string().ends_with("is in use by another agent"), "{error}");
    Spool::open(bench.settings(), "tcp://192.0.2.1:4740", START).unwrap();
    drop(spool);
    bench.open();
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let mut messages = bench.fill(&mut spool, 2);
    drop(spool);
    let garbage = bench.folder().join("0000000000000007.ipfix");
    fs::write(&garbage, b"not IPFIX at all").unwrap();
    fs::write(bench.folder().join("notes.txt"), b"mine").unwrap();
    fs::create_dir(bench.folder().join("0000000000000003.ipfix")).unwrap();
    symlink(bench.segments().remove(0), bench.folder().join("0000000000000004.ipfix")).unwrap();
    let mut spool = bench.open();
    let more = bench.message(3);
    spool.append(&more, || bench.templates(), at(START)).unwrap();
    messages.push(more);
    let taken = take_all(&mut spool);
    assert_same(&taken, &messages);
    assert_eq!(spool.take_lost(), []);
    spool.delivered(taken[2].place);
    drop(spool);
    assert_eq!(fs::read(&garbage).unwrap(), b"not IPFIX at all");
    assert_eq!(fs::read_dir(bench.folder()).unwrap().count(), 6);
}

#[test]
fn only_messages_with_records_are_taken_in() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let mut message = bench.message(1);
    message.total = Default::default();
    bench.append(&mut spool, &message);
    assert!(spool.take().unwrap().is_none());
    message.bytes[1] = 9;
    let error = spool.append(&message, Vec::new, at(START)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(bench.segments().is_empty());
}
