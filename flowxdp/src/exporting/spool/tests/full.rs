//! A disk that is full: the largest size of a file, as any other limit that a write meets.

use std::{env, fs, process::Command};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Bench, NO_LIMIT, START, assert_same, at, on_disk, sum, take_all};

/// In the environment of a process of its own, as the limit is the process's.
const CHILD: &str = "FLOWXDP_TEST_FULL_DISK";
const NAME: &str = "exporting::spool::tests::full::a_full_disk_takes_no_part_of_a_message_and_loses_none";

#[test]
fn a_full_disk_takes_no_part_of_a_message_and_loses_none() {
    if env::var_os(CHILD).is_some() {
        return on_a_full_disk();
    }
    // The signal of a file that would be too large is ignored, so that the write gets an error.
    let mut child = Command::new("sh");
    child.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(env::current_exe().unwrap());
    let output = child.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn on_a_full_disk() {
    let limit = |octets| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: octets, maximum }).unwrap();
    };
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let mut messages = bench.fill(&mut spool, 10);
    let path = bench.segments().remove(0);
    let good = fs::read(&path).unwrap();
    let more = bench.message(9);
    for room in [0, 1, 15, 16, more.bytes.len() as u64 - 1] {
        limit(Some(good.len() as u64 + room));
        for _ in 0..2 {
            let error = spool.append(&more, || bench.templates(), at(START)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
            assert!(fs::read(&path).unwrap() == good, "a part of a message is left");
            assert_eq!((spool.waiting(), spool.octets()), (sum(&messages), on_disk(&bench)));
        }
    }
    limit(None);
    bench.append(&mut spool, &more);
    messages.push(more);
    drop(spool);
    // No file can be begun.
    let mut spool = bench.open();
    let more = bench.message(2);
    for octets in [0, 100, 300] {
        limit(Some(octets));
        spool.append(&more, || bench.templates(), at(START)).unwrap_err();
        assert_eq!((spool.octets(), bench.segments().len()), (on_disk(&bench), 1));
    }
    limit(None);
    bench.append(&mut spool, &more);
    messages.push(more);
    assert_same(&take_all(&mut spool), &messages);
    assert_eq!(spool.take_lost(), []);
}
