//! The wall clock is set while flows are metered, forward and back. In a test VM, whose clock nobody else needs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::generator::cpus;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::traffic::{Traffic, UDP, generator};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const HOUR: i64 = 3_600;
/// The clock's offsets from its former time, seconds, one after the other.
const STEPS: [i64; 3] = [HOUR, -HOUR, 0];
/// The error by rounding and a jiffy, milliseconds.
const SLACK: u64 = 1_100;

/// Sets the clock this many seconds from where it is.
fn step(seconds: i64) -> Result<()> {
    let now = clock_gettime(ClockId::Realtime);
    clock_settime(ClockId::Realtime, Timespec { tv_sec: now.tv_sec + seconds, ..now })
        .context("setting the clock")
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

#[test]
fn no_end_before_its_start() -> Result<()> {
    ensure!(cpus::online()?.len() > 1, "one CPU");
    let netns = Netns::new("clock")?;
    netns.veth(SENDER, METERED)?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    let url = nfcapd.url();
    let arguments = ["--interface", METERED, "--collector", &url, "--idle-timeout", "1s"];
    let live = Live::start(&netns, &[&arguments[..], &["--active-timeout", "2s"]].concat())?;
    let (begun_ms, begun, done) = (now_ms()?, Instant::now(), AtomicBool::new(false));
    let round = Traffic { flows: 200, packets: 1_000, ipv6: false, protocol: UDP, length: 100 };
    let rounds = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                generator().send(&round, &netns, SENDER)?;
                rounds += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            anyhow::Ok(rounds)
        });
        let stepped = (|| {
            let mut at = 0;
            for to in STEPS {
                std::thread::sleep(Duration::from_secs(5));
                step(to - at)?;
                at = to;
                live.status()?.balance()?;
            }
            std::thread::sleep(Duration::from_secs(5));
            anyhow::Ok(())
        })();
        done.store(true, Ordering::Relaxed);
        let rounds = sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))?;
        stepped.and(rounds)
    })?;
    let lasted = u64::try_from(begun.elapsed().as_millis())?;
    let books = live.status()?;
    books.balance()?;
    live.stop()?.success()?;
    let sent = Traffic { packets: round.packets * rounds, ..round };
    ensure!(books.seen.packets == sent.packets, "seen {:?}, sent {}", books.seen, sent.packets);
    let records = nfcapd.stop()?.clean()?;
    equal(&sent.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
    // Each record's times are those of one of the clocks that there were.
    for record in &records {
        let (first, last) = record.sums.first_ms.zip(record.sums.last_ms).context("no times")?;
        let fits = [0].iter().chain(&STEPS).any(|offset| {
            let start = begun_ms.saturating_add_signed(offset * 1_000);
            start - SLACK <= first && first <= last && last <= start + lasted + SLACK
        });
        ensure!(fits, "begun at {begun_ms}, lasted {lasted}, and a record of {first} to {last}: {record:?}");
    }
    for offset in STEPS {
        let start = begun_ms.saturating_add_signed(offset * 1_000) - SLACK;
        let there = records.iter().filter_map(|record| record.sums.first_ms);
        ensure!(
            there.into_iter().any(|first| (start..start + lasted + 2 * SLACK).contains(&first)),
            "no record of the time when the clock was {offset} s off"
        );
    }
    Ok(())
}
