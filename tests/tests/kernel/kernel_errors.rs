//! Requests that cannot be met: one clear line, an exit status, and nothing left behind.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{Live, books, program};
use flowxdp_tests::authority::Authority;
use flowxdp_tests::books::Books;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, left_out};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::foreign;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::pcap::Writer;
use flowxdp_tests::process::{Finished, Program};
use flowxdp_tests::traffic::{TCP, Traffic, UDP, generator};
use flowxdp_tests::tun::Tun;
use rustix::fs::{CWD, Mode, mkfifoat};

const LIMIT: Duration = Duration::from_secs(30);
/// Somewhere to send to that nobody listens at.
const NOWHERE: &str = "udp://127.0.0.1:9";

/// Runs the program, which must end with this status and one line of error that has all of these words.
fn fails(program: Program, code: i32, words: &[&str]) -> Result<Finished> {
    let ended = program.run(LIMIT)?;
    ensure!(ended.code == Some(code), "exit status {:?}, not {code}: {}", ended.code, ended.stderr);
    // Lines of the log begin with their time in brackets.
    let errors: Vec<&str> =
        ended.stderr.lines().filter(|line| !line.is_empty() && !line.starts_with('[')).collect();
    ensure!(errors.len() == 1, "{} lines of error, not one: {}", errors.len(), ended.stderr);
    for word in words {
        ensure!(errors[0].contains(word), "{word:?} is not in: {}", errors[0]);
    }
    Ok(ended)
}

/// `flowxdp run` in a namespace, with a status socket of its own in a directory.
fn run(netns: &Netns, directory: &Path, arguments: &[&str]) -> Result<Program> {
    let socket = directory.join("status.sock");
    Ok(program()?.arg("run").args(arguments).arg("--socket").arg(socket).netns(netns))
}

/// A capture of some packets, one of each flow.
fn capture(path: &Path, traffic: &Traffic) -> Result<()> {
    let mut writer = Writer::create(path)?;
    for flow in 0..traffic.flows {
        writer.frame(1_700_000_000_000_000 + u64::from(flow) * 1_000, &traffic.frame(flow))?;
    }
    writer.finish()
}

const TRAFFIC: Traffic = Traffic { flows: 100, packets: 100, ipv6: false, protocol: TCP, length: 100 };

#[test]
fn an_interface_that_is_not_there() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    netns.veth("one0", "two0")?;
    // The other one, which is there, must not keep a program.
    let arguments = ["--interface", "one0,nosuch0", "--collector", NOWHERE];
    fails(run(&netns, directory.path(), &arguments)?, 1, &["nosuch0"])?;
    netns.expect_clean("one0")
}

#[test]
fn no_privilege() -> Result<()> {
    // Copied to where a plain user may run it.
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let copy = directory.path().join("flowxdp");
    fs::copy(program()?.path(), &copy)?;
    let file = directory.path().join("a.pcap");
    capture(&file, &TRAFFIC)?;
    let run = Program::at(&copy).args(["run", "--interface", "lo", "--collector", NOWHERE]).plain_user();
    let ended = fails(run, 1, &[])?;
    let names_it = |text: &str| ["root", "sudo", "CAP_"].iter().any(|word| text.contains(word));
    ensure!(names_it(&ended.stderr), "neither root nor a capability is named: {}", ended.stderr);
    let replay = Program::at(&copy).arg("replay").arg(&file).args(["--collector", NOWHERE]).plain_user();
    let ended = fails(replay, 1, &[])?;
    ensure!(names_it(&ended.stderr), "neither root nor a capability is named: {}", ended.stderr);
    Ok(())
}

#[test]
fn another_xdp_program_is_attached() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    netns.veth("one0", "two0")?;
    foreign::attach(&netns, "one0")?;
    let before = netns.ip("link show one0")?;
    for mode in ["auto", "native", "generic"] {
        let arguments = ["--interface", "one0", "--collector", NOWHERE, "--mode", mode];
        fails(run(&netns, directory.path(), &arguments)?, 1, &["one0", "foreign"])?;
    }
    ensure!(netns.ip("link show one0")? == before, "the other program was touched");
    foreign::detach(&netns, "one0")?;
    netns.expect_clean("one0")
}

#[test]
fn a_device_of_neither_ethernet_nor_ip() -> Result<()> {
    /// `ARPHRD_CAN` of the kernel's `uapi/linux/if_arp.h`.
    const CAN: u32 = 280;
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    netns.veth("one0", "two0")?;
    let Ok(_tun) = Tun::with_type(&netns, "tun0", CAN) else {
        left_out("this kernel has no tun devices");
        return Ok(());
    };
    netns.ip("tuntap add tap0 mode tap")?;
    for mode in ["auto", "native", "generic"] {
        let arguments = ["--interface", "one0,tun0", "--collector", NOWHERE, "--mode", mode];
        fails(
            run(&netns, directory.path(), &arguments)?,
            1,
            &["tun0", "neither Ethernet frames nor IP", "leave it out"],
        )?;
    }
    netns.expect_clean("one0")?;
    netns.expect_clean("tun0")?;
    // A pattern leaves it out and says so once; tap has Ethernet frames.
    let live = Live::start(&netns, &["--interface", "t*", "--collector", NOWHERE])?;
    ensure!(netns.xdp("tap0")?.is_some() && netns.xdp("two0")?.is_some(), "{}", live.log());
    netns.expect_clean("tun0")?;
    netns.ip("link set tun0 alias changed")?;
    netns.ip("link add one1 type veth peer name two1")?;
    let mut live = live;
    live.until_log(LIMIT, "metering two1", |log| log.contains("two1: metering"))?;
    ensure!(live.log().matches("tun0: a device (tun, device type 280)").count() == 1, "{}", live.log());
    live.stop()?.success()?;
    Ok(())
}

#[test]
fn links_that_carry_the_same_packets() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    netns.veth("one0", "two0")?;
    if netns.ip_try("link add br0 type bridge")?.code != Some(0) {
        left_out("this kernel has no bridges");
        return Ok(());
    }
    netns.ip("link set one0 master br0")?;
    let refused = |interfaces: &str| {
        let arguments = ["--interface", interfaces, "--collector", NOWHERE];
        let ended = fails(run(&netns, directory.path(), &arguments)?, 1, &["one0", "br0", "count twice"])?;
        ensure!(!ended.stderr.contains("another XDP program"), "{}", ended.stderr);
        Result::<_>::Ok(())
    };
    refused("one0,br0")?;
    refused("br0,two0,one0")?;
    ["one0", "two0", "br0"].iter().try_for_each(|interface| netns.expect_clean(interface))?;
    // The bridge is another agent's.
    let other = Live::start(&netns, &["--interface", "br0", "--collector", NOWHERE])?;
    refused("one0")?;
    other.stop()?.success()?;
    netns.expect_clean("one0")
}

#[test]
fn a_second_agent_on_the_same_interface_or_socket() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    netns.veth("one0", "two0")?;
    let first = Live::start(&netns, &["--interface", "one0", "--collector", NOWHERE])?;
    let same_interface = ["--interface", "one0", "--collector", NOWHERE];
    fails(run(&netns, directory.path(), &same_interface)?, 1, &["one0"])?;
    let second = program()?.args(["run", "--interface", "two0", "--collector", NOWHERE, "--socket"]);
    fails(second.arg(first.socket()).netns(&netns), 1, &["--socket"])?;
    netns.expect_clean("two0")?;
    first.status()?.balance()?;
    first.stop()?.success()?;
    netns.expect_clean("one0")
}

#[test]
fn native_mode_where_the_driver_has_none() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    let native = ["--interface", "lo", "--collector", NOWHERE, "--mode", "native"];
    fails(run(&netns, directory.path(), &native)?, 1, &["lo", "generic"])?;
    netns.expect_clean("lo")?;
    // Left to itself, it takes the slow way and says so.
    let auto = Live::start(&netns, &["--interface", "lo", "--collector", NOWHERE])?;
    ensure!(netns.ip("link show lo")?.contains("xdpgeneric"), "not attached in generic mode");
    ensure!(auto.log().contains("generic"), "the log does not say so: {}", auto.log());
    auto.stop()?.success()?;
    netns.expect_clean("lo")
}

#[test]
fn collectors_that_are_no_url() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    let wrong = ["nonsense", "udp//127.0.0.1", "http://127.0.0.1", "udp://", "udp://127.0.0.1:99999"];
    for url in
        wrong.into_iter().chain(["udp://[::1", "udp://127.0.0.1?nonsense=1", "tcp://127.0.0.1?protocol=v9"])
    {
        let arguments = ["--interface", "lo", "--collector", url];
        fails(run(&netns, directory.path(), &arguments)?, 2, &[url])?;
    }
    netns.expect_clean("lo")
}

#[test]
fn flags_that_are_wrong() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    let wrong = [
        ["--idle-timeout", "15parsecs"],
        ["--active-timeout", ""],
        ["--flows", "0"],
        ["--flows", "many"],
        ["--flows", "14757395258967641293"],
        ["--flows6", "18446744073709551616"],
        ["--interface", ""],
        ["--resend-window", "100GiB"],
        ["--spool-limit", "0"],
        ["--collector", "udp://LOCALHOST:9"],
        ["--observation-domain", "0"],
        ["--mode", "magic"],
        ["--protocol", "v4"],
    ];
    for [flag, value] in wrong {
        let arguments = ["--interface", "lo", "--collector", NOWHERE, flag, value];
        fails(run(&netns, directory.path(), &arguments)?, 2, &[flag])?;
    }
    let unknown =
        run(&netns, directory.path(), &["--interface", "lo", "--collector", NOWHERE, "--nonsense"])?;
    fails(unknown, 2, &["--nonsense"])?;
    fails(run(&netns, directory.path(), &["--collector", NOWHERE])?, 2, &["--interface"])?;
    fails(run(&netns, directory.path(), &["--interface", "lo"])?, 2, &["--collector"])?;
    netns.expect_clean("lo")
}

#[test]
fn a_table_larger_than_memory() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    // One and a half times the machine's memory, at 64 octets a flow or more.
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = memory.split_whitespace().nth(1).map(str::parse::<u64>).transpose()?.unwrap_or(0);
    let flows = (kilobytes * 1024 / 64 * 3 / 2).to_string();
    for flag in ["--flows", "--flows6"] {
        let arguments = ["--interface", "lo", "--collector", NOWHERE, flag, &flows];
        fails(run(&netns, directory.path(), &arguments)?, 1, &["flows", "memory"])?;
        let arguments = ["--interface", "lo", "--collector", NOWHERE, flag, "10000M"];
        fails(run(&netns, directory.path(), &arguments)?, 1, &["flows"])?;
    }
    netns.expect_clean("lo")
}

/// Faults of standard output and standard error that must not prevent an end in order.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Closed,
    Full,
    /// A pipe whose reader is gone.
    Gone,
}

/// Runs the program with a broken stream, 1 or 2; gives its status, and its output on the other one.
fn with_broken(stream: u32, how: Broken, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let target = match how {
        Broken::Closed => "&-",
        Broken::Full => "/dev/full",
        // Opened for both ends here, and closed for the reading one before the agent runs.
        Broken::Gone => "&3",
    };
    let gone = "rm -f \"$1\"; mkfifo \"$1\"; exec 4<>\"$1\" 3>\"$1\" 4<&-; rm -f \"$1\"; shift; ";
    let prepare = if matches!(how, Broken::Gone) { gone } else { "shift; " };
    let script = format!("{prepare}exec \"$0\" \"$@\" {stream}>{target}");
    let directory = tempfile::tempdir()?;
    let run =
        Program::find("sh")?.args(["-c", &script]).arg(program()?.path()).arg(directory.path().join("fifo"));
    let ended = run.args(arguments).env("RUST_LOG", "info=wrong=spec").run(LIMIT)?;
    Ok((ended.code, if stream == 1 { ended.stderr } else { ended.stdout }))
}

#[test]
fn a_stream_that_takes_nothing_changes_no_exit_status() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("a.pcap").display().to_string();
    capture(Path::new(&file), &TRAFFIC)?;
    let collector = UdpSocket::bind("127.0.0.1:0")?;
    let url = format!("udp://{}", collector.local_addr()?);
    let mut failures = Failures::default();
    for how in [Broken::Closed, Broken::Full, Broken::Gone] {
        for (arguments, wanted) in [
            (&[][..], 2),
            (&["run", "--nonsense"], 2),
            (&["replay", "/nonexistent.pcap", "--collector", NOWHERE], 1),
            (&["status", "--socket", "/nonexistent/socket"], 1),
            (&["--version"], 0),
        ] {
            failures.check(&format!("stderr {how:?} {arguments:?}"), || {
                let (code, _) = with_broken(2, how, arguments)?;
                ensure!(code == Some(wanted), "exit status {code:?}, not {wanted}");
                Ok(())
            });
        }
        let replay = ["replay", &file, "--collector", &url, "--json"];
        for arguments in [&["--version"][..], &["run", "--help"], &replay] {
            failures.check(&format!("stdout {how:?} {arguments:?}"), || {
                let (code, said) = with_broken(1, how, arguments)?;
                let errors: Vec<_> = said.lines().filter(|line| line.starts_with("flowxdp: ")).collect();
                match how {
                    Broken::Full => {
                        let is_said = errors.len() == 1 && errors[0].contains("standard output");
                        ensure!(code == Some(1) && is_said, "exit status {code:?}: {said}");
                    }
                    _ => ensure!(code == Some(0) && errors.is_empty(), "exit status {code:?}: {said}"),
                }
                Ok(())
            });
        }
    }
    failures.end()
}

#[test]
fn an_agent_whose_streams_are_closed_meters() -> Result<()> {
    let netns = Netns::new("errors")?;
    netns.veth("one0", "two0")?;
    let wrapper = ["sh", "-c", "exec \"$0\" \"$@\" 0<&- 1>&- 2>&-"];
    let live = Live::start_by(&wrapper, 0, &netns, &["--interface", "two0", "--collector", NOWHERE])?;
    for stream in 0..3 {
        let target = fs::read_link(format!("/proc/{}/fd/{stream}", live.pid()))?;
        ensure!(target == Path::new("/dev/null"), "{stream} is {}", target.display());
    }
    live.stop()?.success()?;
    netns.expect_clean("two0")
}

/// The command under limits of prlimit(1).
fn limited(limits: &[&str], arguments: &[&str]) -> Result<Program> {
    Ok(Program::find("prlimit")?.args(limits).arg(program()?.path()).args(arguments))
}

#[test]
fn few_descriptors_or_a_small_stack_end_in_one_line() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    netns.veth("one0", "two0")?;
    let file = directory.path().join("a.pcap").display().to_string();
    capture(Path::new(&file), &TRAFFIC)?;
    let socket = directory.path().join("status.sock").display().to_string();
    let run = ["run", "--interface", "two0", "--collector", NOWHERE, "--socket", &socket];
    let replay = ["replay", &file, "--collector", NOWHERE];
    let collect = ["collect", "--listen", "udp://127.0.0.1:0"];
    for (command, most) in [(&run[..], 32), (&replay, 20), (&collect, 12)] {
        for files in [4, 6, most] {
            let program = limited(&[&format!("--nofile={files}:{files}")], command)?.netns(&netns);
            fails(program, 1, &["ulimit -n"]).with_context(|| format!("{files} files: {command:?}"))?;
        }
        for kib in [24, 256] {
            let octets = kib << 10;
            let program = limited(&[&format!("--stack={octets}:{octets}")], command)?.netns(&netns);
            fails(program, 1, &["ulimit -s"]).with_context(|| format!("{kib} KiB: {command:?}"))?;
        }
    }
    netns.expect_clean("two0")?;
    // Limits that may be raised are raised.
    let wrapper = ["prlimit", "--stack=65536:", "--nofile=20:"];
    let live = Live::start_by(&wrapper, 0, &netns, &["--interface", "two0", "--collector", NOWHERE])?;
    live.status()?.balance()?;
    live.stop()?.success()?;
    netns.expect_clean("two0")
}

#[test]
fn a_table_that_a_limit_of_memory_refuses() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    let limited = |arguments: &[&str]| {
        let prlimit = Program::find("prlimit")?.arg("--as=200000000").arg(program()?.path());
        Result::<_>::Ok(prlimit.args(arguments).netns(&netns))
    };
    let socket = directory.path().join("status.sock").display().to_string();
    let run = ["run", "--interface", "lo", "--collector", NOWHERE, "--flows", "4M", "--socket", &socket];
    fails(limited(&run)?, 1, &["--flows", "memory"])?;
    fails(limited(&[&run[..], &["--flows6", "1K"]].concat())?, 1, &["--flows", "memory"])?;
    netns.expect_clean("lo")
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_at_once() -> Result<()> {
    let (netns, directory) = (Netns::new("errors")?, tempfile::tempdir()?);
    let fifo = directory.path().join("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR)?;
    let (fifo, authority) = (fifo.display().to_string(), Authority::new("an authority")?);
    // Not every machine has authorities of its own.
    let known = format!("ca={}", authority.file().display());
    let others = [format!("{known}&cert={fifo}&key={fifo}"), format!("{known}&peers={fifo}")];
    for parameters in [format!("ca={fifo}")].into_iter().chain(others) {
        let url = format!("tls://127.0.0.1:9?{parameters}");
        let arguments = ["--interface", "lo", "--collector", &url];
        fails(run(&netns, directory.path(), &arguments)?, 1, &["fifo", "pipe"])?;
    }
    let arguments = ["--interface", "lo", "--collector", "tls://127.0.0.1:9"];
    let program = run(&netns, directory.path(), &arguments)?.env("SSL_CERT_FILE", &fifo);
    fails(program, 1, &["SSL_CERT_FILE", "fifo"])?;
    netns.expect_clean("lo")
}

/// A user of the test's own, whose processes are the agent's threads alone.
const USER: u32 = 64_321;

#[test]
fn a_system_without_threads_keeps_a_named_collector_away_and_nothing_else() -> Result<()> {
    let netns = Netns::new("errors")?;
    netns.veth("one0", "two0")?;
    netns.hosts("127.0.0.1 localhost named.test\n")?;
    let (literal, named) = (Nfcapd::start(Some(&netns))?, Nfcapd::start_at(4740, Some(&netns))?);
    let user = USER.to_string();
    // The limit counts the threads of a user: the agent has one.
    let identity = ["--reuid", &user, "--regid", &user, "--clear-groups"];
    let capabilities = ["--inh-caps", "--ambient-caps", "--bounding-set"];
    let capabilities = capabilities.iter().flat_map(|set| [*set, "-all,+bpf,+perfmon,+net_admin"]);
    let before = ["prlimit", "--nproc=1:100", "setpriv"];
    let wrapper = before.into_iter().chain(identity).chain(capabilities);
    let url = literal.url();
    let collectors = ["--collector", &url, "--collector", "udp://named.test:4740?preset=nfdump"];
    let timeouts = ["--interface", "two0", "--idle-timeout", "1s", "--active-timeout", "1s"];
    let wrapper: Vec<&str> = wrapper.collect();
    let mut live = Live::start_by(&wrapper, USER, &netns, &[&collectors[..], &timeouts].concat())?;
    let traffic = Traffic { flows: 200, packets: 2_000, ipv6: false, protocol: UDP, length: 100 };
    generator().send(&traffic, &netns, "one0")?;
    let sent = |books: &Books, url: &str| books.collectors.get(url).map_or(0, |it| it.exported.packets);
    live.until(LIMIT, "exporting to the address", |books| sent(books, &url) == 2_000)?;
    live.until_log(LIMIT, "without a thread", |log| {
        log.contains("cannot be reached: its name needs a thread")
    })?;
    let log = live.log();
    ensure!(log.lines().filter(|line| line.contains("needs a thread")).count() == 1, "said again: {log}");
    // By the same user, who needs no privilege for that.
    let limit = Program::find("setpriv")?.args(identity).arg("prlimit").arg("--nproc=100:");
    limit.args(["--pid", &live.pid().to_string()]).run(LIMIT)?.success()?;
    live.until(LIMIT, "exporting to the name", |books| {
        sent(books, "udp://named.test:4740?preset=nfdump") == 2_000
    })?;
    live.status()?.all_exported()?;
    live.stop()?.success()?;
    for nfcapd in [literal, named] {
        equal(&traffic.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)?;
    }
    netns.expect_clean("two0")
}

#[test]
fn a_capture_that_is_cut() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("cut.pcap");
    capture(&file, &TRAFFIC)?;
    let whole = fs::read(&file)?;
    fs::write(&file, &whole[..whole.len() - 10])?;
    let nfcapd = Nfcapd::start(None)?;
    let replay = program()?.arg("replay").arg(&file).args(["--collector", &nfcapd.url(), "--json"]);
    let ended = fails(replay, 1, &["cut.pcap"])?;
    let books = books(&ended)?;
    books.all_exported()?;
    ensure!(books.exported.packets == 99, "99 packets are whole: {books:?}");
    let truth = Traffic { flows: 99, packets: 99, ..TRAFFIC }.truth();
    equal(&truth, &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}

#[test]
fn files_that_cannot_be_replayed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).map(|()| path)
    };
    let header: Vec<u8> =
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let replay = |path: &Path| Ok(program()?.arg("replay").arg(path).args(["--collector", NOWHERE]));
    let fails_on = |path: &Path, words: &[&str]| -> Result<()> {
        let replay: Result<Program> = replay(path);
        fails(replay?, 1, words).map(|_| ())
    };
    fails_on(&directory.path().join("absent.pcap"), &["absent.pcap"])?;
    fails_on(&file("text.pcap", b"This is no capture at all, but a line of text.\n")?, &["text.pcap"])?;
    fails_on(&file("empty.pcap", b"")?, &["empty.pcap"])?;
    fails_on(&file("header.pcap", &header[..10])?, &["header.pcap"])?;
    fails_on(directory.path(), &[])
}

/// Sends through an agent whose collector comes late; every record must arrive all the same.
fn late(netns: &Netns, url: &str, port: u16, appear: impl FnOnce() -> Result<()>) -> Result<String> {
    let traffic = Traffic { flows: 200, packets: 2_000, ipv6: false, protocol: UDP, length: 100 };
    let timeouts = ["--idle-timeout", "1s", "--active-timeout", "2s"];
    let arguments = [&["--interface", "two0", "--collector", url][..], &timeouts].concat();
    let mut live = Live::start(netns, &arguments)?;
    generator().send(&traffic, netns, "one0")?;
    live.until(LIMIT, "out of live flows", |books| {
        books.seen.packets == 2_000 && books.in_table.packets == 0
    })?;
    live.status()?.balance()?;
    // Two refreshes of whatever it tries meanwhile.
    std::thread::sleep(Duration::from_secs(3));
    let nfcapd = Nfcapd::start_at(port, Some(netns))?;
    appear()?;
    live.until(LIMIT, "done with sending", |books| books.exported.packets == 2_000)?;
    let books = live.status()?;
    books.all_exported()?;
    let log = live.log();
    live.stop()?.success()?;
    equal(&traffic.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)?;
    netns.expect_clean("two0")?;
    Ok(log)
}

#[test]
fn a_collector_whose_name_resolves_later() -> Result<()> {
    let netns = Netns::new("errors")?;
    netns.veth("one0", "two0")?;
    netns.hosts("127.0.0.1 localhost\n")?;
    let log = late(&netns, "udp://collector.test:4739?preset=nfdump", 4739, || {
        netns.hosts("127.0.0.1 localhost\n127.0.0.1 collector.test\n")
    })?;
    let said = log.lines().filter(|line| line.contains("collector.test") && line.contains("WARN")).count();
    ensure!(said == 1, "it must say once that it waits, not {said} times: {log}");
    Ok(())
}

#[test]
fn a_collector_that_listens_later() -> Result<()> {
    let netns = Netns::new("errors")?;
    netns.veth("one0", "two0")?;
    late(&netns, "udp://127.0.0.1:4739?preset=nfdump", 4739, || Ok(())).map(|_| ())
}
