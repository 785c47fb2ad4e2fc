//! The status socket of a running agent, and clients that mean no good: the agent goes on.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{Live, program, status};
use flowxdp_tests::books::Count;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::{Traffic, UDP, generator};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Signal;

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

/// Runs it: one line of error that has this word, and status 1.
fn refused(program: Program, word: &str) -> Result<()> {
    let ended = program.run(LIMIT)?;
    let errors = ended.stderr.lines().filter(|line| line.starts_with("flowxdp: ")).collect::<Vec<_>>();
    ensure!(ended.code == Some(1) && errors.len() == 1 && errors[0].contains(word), "{word}: {ended:?}");
    Ok(())
}

#[test]
fn a_socket_whose_queue_is_full_is_not_waited_for_without_end() -> Result<()> {
    let (netns, folder) = (Netns::new("status")?, tempfile::tempdir()?);
    netns.veth(SENDER, METERED)?;
    let path = folder.path().join("full.sock");
    let listener = UnixListener::bind(&path)?;
    rustix::net::listen(&listener, 0)?;
    let (mut queued, address) = (Vec::new(), SocketAddrUnix::new(&path)?);
    loop {
        let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
        match connect(&stream, &address) {
            Ok(()) => queued.push(stream),
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    refused(program()?.args(["status", "--socket"]).arg(&path), "full.sock")?;
    let run =
        program()?.args(["run", "--interface", METERED, "--collector", "udp://127.0.0.1:9", "--socket"]);
    refused(run.arg(&path).netns(&netns), "--socket")?;
    ensure!(path.exists(), "the socket of the other was removed");
    netns.expect_clean(METERED)
}

#[test]
fn the_end_takes_no_other_process_socket_away() -> Result<()> {
    let netns = Netns::new("status")?;
    netns.veth(SENDER, METERED)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("s.sock");
    let run =
        program()?.args(["run", "--interface", METERED, "--collector", "udp://127.0.0.1:9", "--socket"]);
    let mut running = run.arg(&path).netns(&netns).start()?;
    running.until(LIMIT, "answering", |_| Ok(status(&path).is_ok()))?;
    // Another process has the path now.
    std::fs::remove_file(&path)?;
    let _other = UnixListener::bind(&path)?;
    running.stop(Signal::TERM, LIMIT)?.success()?;
    ensure!(path.exists(), "the agent removed the socket of another process");
    netns.expect_clean(METERED)
}

#[test]
fn files_and_folders_are_for_one_user_whatever_the_umask() -> Result<()> {
    let (netns, folder) = (Netns::new("status")?, tempfile::tempdir()?);
    netns.veth(SENDER, METERED)?;
    let (sockets, spool) = (folder.path().join("a/b"), folder.path().join("c/spool"));
    let script = r#"umask 0; exec "$0" "$@""#;
    let run = Program::find("sh")?.args(["-c", script]).arg(program()?.path()).args([
        "run",
        "--interface",
        METERED,
    ]);
    let run = run.args(["--collector", "tcp://127.0.0.1:9", "--spool"]).arg(&spool).arg("--socket");
    let socket = sockets.join("s.sock");
    let mut running = run.arg(&socket).netns(&netns).start()?;
    running.until(LIMIT, "answering", |_| Ok(status(&socket).is_ok()))?;
    let mut made = vec![folder.path().join("a"), sockets, socket, folder.path().join("c"), spool.clone()];
    for entry in std::fs::read_dir(&spool)? {
        let entry = entry?.path();
        made.extend([entry.clone(), entry.join("lock"), entry.join("position")]);
    }
    for path in made {
        let state = std::fs::metadata(&path)?;
        let wanted = if state.is_dir() { 0o700 } else { 0o600 };
        let mode = state.mode() & 0o7777;
        ensure!(mode == wanted, "{}: mode {mode:o}, not {wanted:o}", path.display());
    }
    running.stop(Signal::TERM, LIMIT)?.success()?;
    netns.expect_clean(METERED)
}

#[test]
fn an_agent_without_descriptors_goes_on_and_answers_again() -> Result<()> {
    let netns = Netns::new("status")?;
    netns.veth(SENDER, METERED)?;
    let mut live = Live::start(&netns, &["--interface", METERED, "--collector", "udp://127.0.0.1:9"])?;
    let pid = live.pid().to_string();
    let limit = |value: &str| {
        Program::find("prlimit")?.args(["--pid", &pid]).arg(format!("--nofile={value}")).run(LIMIT)?.success()
    };
    limit("3:")?;
    // Questions that cannot be taken, and an interface that cannot be looked at.
    let waiting: Vec<_> = (0..3).map(|_| ask(live.socket())).collect::<Result<_>>()?;
    netns.ip("link add other0 type veth peer name other1")?;
    let traffic = Traffic { flows: 10, packets: 1_000, ipv6: false, protocol: UDP, length: 100 };
    generator().send(&traffic, &netns, SENDER)?;
    live.until_log(LIMIT, "out of descriptors", |log| log.contains("Too many open files"))?;
    // Some looks later, nothing was said again.
    std::thread::sleep(Duration::from_secs(3));
    let log = live.log();
    let said: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("] ")).map(|(_, text)| text).collect();
    let once: BTreeSet<&str> = said.iter().copied().collect();
    ensure!(said.len() == once.len(), "something was said again:\n{log}");
    limit("1024:")?;
    drop(waiting);
    live.until(LIMIT, "done with the packets", |books| books.seen.packets >= 1_000)?;
    live.status()?.balance()?;
    live.stop()?.success()?;
    netns.expect_clean(METERED)
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

/// Sends octets, and reads the answer to its end.
fn answered(socket: &Path, request: &[u8]) -> Result<String> {
    let mut stream = ask(socket)?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_flush_exports_the_table_and_metering_continues() -> Result<()> {
    let netns = Netns::new("status")?;
    netns.veth(SENDER, METERED)?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    let url = nfcapd.url();
    // No flow is due before the test ends.
    let timeouts = ["--idle-timeout", "1h", "--active-timeout", "2h"];
    let arguments = [&["--interface", METERED, "--collector", &url][..], &timeouts].concat();
    let mut live = Live::start(&netns, &arguments)?;
    let socket = live.socket().to_owned();
    let flush = || program()?.args(["flush", "--socket"]).arg(&socket).run(LIMIT);
    let mut seen = 0;
    for _ in 0..2 {
        seen = meters(&netns, &mut live, seen)?.packets;
        ensure!(live.status()?.in_table.packets == 1_000, "not in the table");
        let ended = flush()?.success()?;
        ensure!(ended.stdout.starts_with("flushed: 10 records (1,000 packets, "), "{ended:?}");
        let books = live.status()?;
        books.balance()?;
        ensure!(books.in_table.packets == 0 && books.exported.packets == seen, "{books:?}");
    }
    let unknown = answered(&socket, b"nonsense\n")?;
    ensure!(unknown.contains("unknown request") && unknown.lines().count() == 1, "{unknown}");
    let config = answered(&socket, b"config\n")?;
    ensure!(config.contains("interface = [\"met0\"]") && config.contains("1h"), "{config}");
    let books = [answered(&socket, b"")?, answered(&socket, b"books\n")?];
    ensure!(books.iter().all(|text| text.starts_with("{\"seen\":") && text.ends_with("}\n")), "{books:?}");
    live.stop()?.success()?;
    refused(program()?.args(["flush", "--socket"]).arg(&socket), "no agent answers")?;
    let records = nfcapd.stop()?.clean()?;
    let traffic = Traffic { flows: 10, packets: 1_000, ipv6: false, protocol: UDP, length: 100 };
    let mut sent = traffic.truth();
    sent.merge(&traffic.truth());
    equal(&sent, &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
    ensure!(records.len() == 20, "{} records of two flushes", records.len());
    netns.expect_clean(METERED)
}
