//! The status socket of a running agent, and clients that mean no good: the agent goes on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::Count;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::traffic::{Traffic, UDP, generator};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const LIMIT: Duration = Duration::from_secs(60);
/// Clients that are there at the same time.
const CROWD: usize = 250;

fn ask(socket: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket).context("the agent takes no question any more")?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(Duration::from_millis(20)))?;
    Ok(stream)
}

/// Writes until nobody takes it, and stays.
fn garbage(socket: &Path, octet: u8) -> Result<UnixStream> {
    let mut stream = ask(socket)?;
    // An agent that answers and closes refuses the rest: that is right too.
    let _ = stream.write_all(&[octet; 1 << 20]);
    Ok(stream)
}

/// Sends, and sees every packet in books that balance.
fn meters(netns: &Netns, live: &mut Live, before: u64) -> Result<Count> {
    let traffic = Traffic { flows: 10, packets: 1_000, ipv6: false, protocol: UDP, length: 100 };
    generator().send(&traffic, netns, SENDER)?;
    live.until(LIMIT, "done with the packets", |books| books.seen.packets >= before + 1_000)?;
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen.packets == before + 1_000, "seen {:?}", books.seen);
    Ok(books.seen)
}

#[test]
fn clients_that_send_garbage_never_read_or_come_by_the_thousand_stop_nothing() -> Result<()> {
    let netns = Netns::new("status")?;
    netns.veth(SENDER, METERED)?;
    let arguments = ["--interface", METERED, "--collector", "udp://127.0.0.1:9"];
    let mut live = Live::start(&netns, &arguments)?;
    let socket = live.socket().to_owned();
    let mut held = Vec::new();
    for octet in [0, b'{', 0xff] {
        held.push(garbage(&socket, octet)?);
    }
    let seen = meters(&netns, &mut live, 0)?;
    for _ in 0..1_000 / CROWD {
        let crowd: Vec<UnixStream> = (0..CROWD).map(|_| ask(&socket)).collect::<Result<_>>()?;
        live.status()?.balance().context("with a crowd that does not read")?;
        // Each gets the books or nothing, and none waits for ever.
        for (number, mut stream) in crowd.into_iter().enumerate() {
            let mut answer = String::new();
            if number % 2 == 0 {
                stream.read_to_string(&mut answer).context("an answer that does not end")?;
                ensure!(answer.is_empty() || answer.ends_with("}\n"), "half an answer: {answer}");
            }
        }
    }
    meters(&netns, &mut live, seen.packets)?;
    drop(held);
    live.stop()?.success()?;
    netns.expect_clean(METERED)
}
