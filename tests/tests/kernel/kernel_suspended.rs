//! An agent that is stopped for a while, as by a debugger or a frozen virtual machine, while packets go on.

use std::time::Duration;

use anyhow::{Result, ensure};
use flowxdp_tests::books::Count;
use flowxdp_tests::failures::tell;
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::stage::{Stage, all_delivered, at_rest, balanced, of};
use flowxdp_tests::traffic::{Traffic, UDP, generator};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn suspended_for_30_seconds_it_loses_nothing_that_the_table_holds() -> Result<()> {
    let stage = Stage::new()?;
    let (nfcapd, tcp) = (Nfcapd::start(Some(&stage.netns))?, stage.tcp(0)?);
    let urls = [nfcapd.url(), format!("tcp://127.0.0.1:{}", tcp.port())];
    let mut live = stage.agent(&[&urls[0], &urls[1]], &[])?;
    let sent = stage.traffic(5_000, Duration::from_millis(50), || {
        live.until(LIMIT, "exporting", |books| books.exported.packets > 10_000)?;
        live.signal(Signal::STOP)?;
        std::thread::sleep(Duration::from_secs(30));
        live.signal(Signal::CONT)?;
        std::thread::sleep(Duration::from_secs(1));
        balanced(&live).map(drop)
    })?;
    let rows = at_rest(&mut live, sent)?;
    let books = live.status()?;
    books.all_exported()?;
    live.stop()?.success()?;
    let (packets, octets) = Flows::by_tuple(&nfcapd.stop()?.clean()?).totals();
    ensure!(Count { packets, octets } == sent, "{packets} packets, {octets} octets received of {sent:?}");
    all_delivered("TCP", of(&rows, "tcp:")?, &tcp.sessions())?;
    tell(&format!("{packets} packets, 30 s of them without the agent: all received"));
    Ok(())
}

#[test]
fn suspended_with_more_flows_than_table_and_ring_buffer_hold_it_names_what_is_lost() -> Result<()> {
    let stage = Stage::new()?;
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let mut live = stage.agent(&[&nfcapd.url()], &["--flows", "4K"])?;
    let traffic = Traffic { flows: 200_000, packets: 600_000, ipv6: false, protocol: UDP, length: 100 };
    live.signal(Signal::STOP)?;
    let sending = generator().send(&traffic, &stage.netns, "gen0");
    live.signal(Signal::CONT)?;
    sending?;
    live.until(LIMIT, "at rest", |books| {
        let waiting = books.in_table.packets + books.queued.packets;
        books.seen.packets == traffic.packets && waiting == 0
    })?;
    let books = live.status()?;
    books.at_rest()?;
    live.stop()?.success()?;
    let (packets, octets) = Flows::by_tuple(&nfcapd.stop()?.clean()?).totals();
    let (received, lost) = (Count { packets, octets }, books.lost_total());
    let sent = Count { packets: traffic.packets, octets: traffic.octets() };
    ensure!(received == books.exported, "{received:?} received: {books:?}");
    ensure!(received + lost == sent, "{received:?} received and {lost:?} lost of {sent:?}: {books:?}");
    ensure!(lost.packets > 0 && received.packets > 4_000, "it held all, or nothing: {books:?}");
    tell(&format!("{} packets held of {}, {} named as lost", packets, sent.packets, lost.packets));
    Ok(())
}
