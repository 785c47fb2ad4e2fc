//! The next run's findings.

use std::fs;

use flowxdp_core::exporting::spool::Messages;
use flowxdp_core::record::RecordTotal;

use super::super::{Place, position};
use super::{Bench, NO_LIMIT, assert_same, sum, take_all};

#[test]
fn messages_come_back_in_order_in_the_same_run() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let mut messages = bench.fill(&mut spool, 5);
    assert_eq!(spool.waiting(), sum(&messages));
    let mut taken: Vec<_> = (0..3).filter_map(|_| spool.take().unwrap()).collect();
    assert_eq!(spool.waiting(), sum(&messages[3..]));
    messages.extend(bench.fill(&mut spool, 4));
    taken.extend(take_all(&mut spool));
    assert_same(&taken, &messages);
    assert!(taken.iter().all(|it| !it.inherited && !it.perhaps_twice));
    assert!(taken.iter().all(|it| it.templates[..] == bench.session.templates()));
    assert_eq!((spool.waiting(), spool.inherited()), (RecordTotal::default(), RecordTotal::default()));
    spool.delivered(taken[8].place);
    assert_eq!((bench.segments().len(), spool.octets()), (0, position::SIZE));
}

#[test]
fn a_killed_run_leaves_what_was_not_delivered_and_says_what_was_sent() {
    for (taken, sent, delivered) in [(0, 0, 0), (6, 0, 0), (6, 4, 0), (6, 4, 3), (10, 10, 9), (10, 10, 10)] {
        let mut bench = Bench::new(NO_LIMIT);
        let mut spool = bench.open();
        let messages = bench.fill(&mut spool, 10);
        let places: Vec<Place> = (0..taken).map(|_| spool.take().unwrap().unwrap().place).collect();
        places[..sent].iter().for_each(|place| spool.sent(*place));
        places[..delivered].iter().for_each(|place| spool.delivered(*place));
        drop(spool);
        for _ in 0..2 {
            let mut spool = bench.open();
            assert_eq!(spool.inherited(), sum(&messages[delivered..]));
            assert_eq!(spool.waiting_inherited(), spool.inherited());
            let again = take_all(&mut spool);
            assert_same(&again, &messages[delivered..]);
            assert!(again.iter().all(|it| it.inherited));
            let twice = again.iter().filter(|it| it.perhaps_twice).count();
            assert_eq!(twice, sent - delivered);
            assert!(again[..twice].iter().all(|it| it.perhaps_twice));
            assert_eq!(spool.take_lost(), []);
        }
    }
}

#[test]
fn a_later_run_appends_behind_what_it_found() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut messages = Vec::new();
    for run in 0..4 {
        let mut spool = bench.open();
        assert_eq!(spool.waiting(), sum(&messages));
        messages.extend(bench.fill(&mut spool, 3));
        assert_eq!(bench.segments().len(), run + 1);
    }
    let mut spool = bench.open();
    messages.extend(bench.fill(&mut spool, 3));
    let taken = take_all(&mut spool);
    assert_same(&taken, &messages);
    assert_eq!(taken.iter().filter(|it| it.inherited).count(), 12);
    spool.delivered(taken[13].place);
    assert_eq!(bench.segments().len(), 1);
    drop(spool);
    // The number of a file that is gone is not given again.
    let mut spool = bench.open();
    let place = take_all(&mut spool)[0].place;
    spool.delivered(place);
    bench.fill(&mut spool, 1);
    assert!(bench.segments()[0].ends_with("0000000000000006.ipfix"));
}

#[test]
fn a_tail_that_is_torn_anywhere_is_cut_off() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let messages = bench.fill(&mut spool, 3);
    drop(spool);
    let path = bench.segments().remove(0);
    let file = fs::read(&path).unwrap();
    let whole = file.len() - messages[2].bytes.len();
    for end in whole..file.len() {
        fs::write(&path, &file[..end]).unwrap();
        let mut spool = bench.open();
        assert_same(&take_all(&mut spool), &messages[..2]);
        assert_eq!((spool.inherited(), spool.take_lost()), (sum(&messages[..2]), Vec::new()));
        assert_eq!(fs::read(&path).unwrap(), file[..whole]);
    }
    // No data is left of a file that was torn in its templates or its first message.
    let templates = Messages::new(&file).next().unwrap().len();
    for end in (0..templates + messages[0].bytes.len()).step_by(7) {
        fs::write(&path, &file[..end]).unwrap();
        assert_eq!(bench.open().inherited(), RecordTotal::default());
        assert!(!path.exists());
    }
}

#[test]
fn after_a_torn_position_everything_may_be_sent_twice() {
    let mut bench = Bench::new(NO_LIMIT);
    let mut spool = bench.open();
    let messages = bench.fill(&mut spool, 3);
    let taken = take_all(&mut spool);
    spool.sent(taken[1].place);
    spool.delivered(taken[0].place);
    drop(spool);
    let path = bench.folder().join("position");
    let good = fs::read(&path).unwrap();
    let torn = (0..good.len()).map(|end| good[..end].to_vec());
    let mut damaged = good.clone();
    damaged[30] ^= 1;
    for octets in torn.chain([damaged, vec![0; 48], vec![7; 100]]) {
        fs::write(&path, octets).unwrap();
        // Whether the position is written anew or not.
        for _ in 0..2 {
            let taken = take_all(&mut bench.open());
            assert_same(&taken, &messages);
            assert!(taken.iter().all(|it| it.perhaps_twice));
        }
    }
    fs::write(&path, good).unwrap();
    assert_same(&take_all(&mut bench.open()), &messages[1..]);
}
