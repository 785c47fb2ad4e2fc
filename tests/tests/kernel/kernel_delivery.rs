//! Delivery over TCP and TLS to collectors that die, stall, refuse and come back, with live traffic.
//!
//! Every record must come at least once, and possible duplicates must be named; at every instant a
//! collector's retired records are exported, queued or lost there; and none of it slows the metering.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowxdp_tests::judge::sessions::Received;
use flowxdp_tests::peer::Peer;
use flowxdp_tests::process::patient;
use flowxdp_tests::stage::{Stage, all_delivered, at_rest, balanced, of};

/// The longest wait for a collector's first octets after it came back.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until octets came to both collectors that were started after an event.
fn both_received(tcp: &Peer, tls: &Peer, event: &str) -> Result<()> {
    let begun = Instant::now();
    while tcp.received() == 0 || tls.received() == 0 {
        ensure!(begun.elapsed() < patient(PATIENCE), "nothing came to the one after {event}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[test]
fn a_collector_that_dies_ten_times_gets_every_record() -> Result<()> {
    let stage = Stage::new()?;
    let (mut tcp, mut tls) = (stage.tcp(0)?, stage.tls(0)?);
    let (tcp_port, tls_port) = (tcp.port(), tls.port());
    let (tcp_url, tls_url) = (format!("tcp://127.0.0.1:{tcp_port}"), stage.tls_url(tls_port));
    let mut live = stage.agent(&[&tcp_url, &tls_url], &[])?;
    let mut sessions = (Vec::new(), Vec::new());
    let sent = stage.traffic(2_000, Duration::from_millis(200), || {
        for death in 0..10_u64 {
            both_received(&tcp, &tls, &format!("death {death}"))?;
            // One that lives shorter is waited for longer.
            std::thread::sleep(Duration::from_millis(1_000 + 37 * death));
            sessions.0.extend(tcp.kill());
            sessions.1.extend(tls.kill());
            balanced(&live)?;
            std::thread::sleep(Duration::from_millis(41 * death));
            (tcp, tls) = (stage.tcp(tcp_port)?, stage.tls(tls_port)?);
        }
        Ok(())
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    sessions.0.extend(tcp.kill());
    sessions.1.extend(tls.kill());
    all_delivered("TCP, ten deaths", of(&rows, "tcp:")?, &sessions.0)?;
    all_delivered("TLS, ten deaths", of(&rows, "tls:")?, &sessions.1)
}

#[test]
fn collectors_that_leave_in_order_under_traffic_get_every_record_once() -> Result<()> {
    let stage = Stage::new()?;
    let (mut tcp, mut tls) = (stage.tcp(0)?, stage.tls(0)?);
    let (tcp_port, tls_port) = (tcp.port(), tls.port());
    let (tcp_url, tls_url) = (format!("tcp://127.0.0.1:{tcp_port}"), stage.tls_url(tls_port));
    let mut live = stage.agent(&[&tcp_url, &tls_url], &[])?;
    let mut sessions = (Vec::new(), Vec::new());
    let sent = stage.traffic(2_000, Duration::from_millis(200), || {
        for end in 0..3 {
            both_received(&tcp, &tls, &format!("end {end}"))?;
            std::thread::sleep(Duration::from_millis(1_200));
            sessions.0.extend(tcp.leave());
            sessions.1.extend(tls.leave());
            balanced(&live)?;
            (tcp, tls) = (stage.tcp(tcp_port)?, stage.tls(tls_port)?);
        }
        Ok(())
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    sessions.0.extend(tcp.kill());
    sessions.1.extend(tls.kill());
    for (name, scheme, sessions) in [("TCP", "tcp:", &sessions.0), ("TLS", "tls:", &sessions.1)] {
        let rows = of(&rows, scheme)?;
        all_delivered(&format!("{name}, three ends in order"), rows, sessions)?;
        let (received, named) = (Received::read(sessions)?.all(), rows.perhaps_twice);
        ensure!(received == rows.sent() && named.records == 0, "{name}: {received:?} came: {rows:?}");
    }
    Ok(())
}

/// Longer than a connection whose other side takes nothing lives.
const STALL: Duration = Duration::from_secs(60);

#[test]
fn a_collector_that_stalls_for_a_minute_gets_every_record() -> Result<()> {
    let stage = Stage::new()?;
    let (mut tcp, mut tls) = (stage.tcp(0)?, stage.tls(0)?);
    let (tcp_url, tls_url) = (format!("tcp://127.0.0.1:{}", tcp.port()), stage.tls_url(tls.port()));
    let mut live = stage.agent(&[&tcp_url, &tls_url], &[])?;
    let sent = stage.traffic(3_000, Duration::from_millis(900), || {
        std::thread::sleep(Duration::from_secs(3));
        tcp.stall(true);
        tls.stall(true);
        let begun = Instant::now();
        while begun.elapsed() < STALL {
            balanced(&live)?;
            std::thread::sleep(Duration::from_millis(500));
        }
        tcp.stall(false);
        tls.stall(false);
        Ok(())
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    all_delivered("TCP, stalled", of(&rows, "tcp:")?, &tcp.kill())?;
    all_delivered("TLS, stalled", of(&rows, "tls:")?, &tls.kill())
}
