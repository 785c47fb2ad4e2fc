//! Capture files as they come to a replay: through pipes, packed, of any link type, cut, with impossible times.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{LIMIT, books, program};
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::pcap::Writer;
use flowxdp_tests::process::{Finished, Program, Running};
use flowxdp_tests::traffic::{TCP, Traffic, UDP};

/// 2023-11-14, in seconds.
const START: u32 = 1_700_000_000;

const TRAFFIC: Traffic = Traffic { flows: 100, packets: 100, ipv6: false, protocol: TCP, length: 100 };

/// A capture of one packet of each flow.
fn capture(path: &Path, traffic: &Traffic) -> Result<()> {
    let mut writer = Writer::create(path)?;
    for flow in 0..traffic.flows {
        let time = u64::from(START) * 1_000_000 + u64::from(flow) * 1_000;
        writer.frame(time, &traffic.frame(flow))?;
    }
    writer.finish()
}

/// Runs a line of sh, in which `$0` is the agent, `$1` the collector and `$2` a folder.
fn shell(line: &str, url: &str, directory: &Path) -> Result<Program> {
    Ok(Program::find("bash")?.args(["-c", line]).arg(program()?.path()).arg(url).arg(directory))
}

/// Replays by a line of sh into nfcapd: exactly the traffic must arrive.
fn arrives(line: &str, directory: &Path, traffic: &Traffic) -> Result<()> {
    let nfcapd = Nfcapd::start(None)?;
    let ended = shell(line, &nfcapd.url(), directory)?.run(LIMIT)?.success().context(line.to_owned())?;
    books(&ended)?.all_exported()?;
    // No terminal: not a word of progress.
    ensure!(ended.stderr.is_empty(), "{line}: {}", ended.stderr);
    let flows = Flows::by_tuple(&nfcapd.stop()?.clean()?);
    equal(&traffic.truth(), &flows, Columns::WITHOUT_TTL).context(line.to_owned())
}

#[test]
fn captures_through_pipes_and_packed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    capture(&directory.path().join("a.pcap"), &TRAFFIC)?;
    let half = Traffic { flows: 50, packets: 50, ..TRAFFIC };
    capture(&directory.path().join("half.pcap"), &half)?;
    let rest = fs::read(directory.path().join("a.pcap"))?;
    fs::write(directory.path().join("rest.part"), rest.get(24 + 50 * 130..).context("100 packets")?)?;
    for line in [
        r#"cat "$2/a.pcap" | "$0" replay /dev/stdin --collector "$1" --json"#,
        r#"cat "$2/a.pcap" | "$0" replay - --collector "$1" --json"#,
        r#""$0" replay - --collector "$1" --json <"$2/a.pcap""#,
        r#""$0" replay <(cat "$2/a.pcap") --collector "$1" --json"#,
        r#"mkfifo "$2/fifo"; cat "$2/a.pcap" >"$2/fifo" & "$0" replay "$2/fifo" --collector "$1" --json"#,
        // Told by its first octets, not by its name.
        r#"gzip -c "$2/a.pcap" >"$2/b.pcap"; "$0" replay "$2/b.pcap" --collector "$1" --json"#,
        r#"zstd -qfc "$2/a.pcap" >"$2/b.pcap"; "$0" replay "$2/b.pcap" --collector "$1" --json"#,
        r#"zstd -qfc --long=27 -19 "$2/a.pcap" | "$0" replay - --collector "$1" --json"#,
        // Packets, and two members, cut apart in the middle of a file.
        r#"(gzip -c "$2/half.pcap"; gzip -c "$2/rest.part") | "$0" replay - --collector "$1" --json"#,
        r#"(cat "$2/half.pcap"; sleep 0.3; cat "$2/rest.part") | "$0" replay - --collector "$1" --json"#,
    ] {
        arrives(line, directory.path(), &TRAFFIC)?;
    }
    Ok(())
}

#[test]
fn the_second_pipe_is_opened_when_the_first_has_ended() -> Result<()> {
    let directory = tempfile::tempdir()?;
    capture(&directory.path().join("a.pcap"), &TRAFFIC)?;
    let line = r#"cd "$2"; mkfifo one two; (cat a.pcap >one; cat a.pcap >two) & "$0" replay one two --collector "$1" --json"#;
    let nfcapd = Nfcapd::start(None)?;
    let ended = shell(line, &nfcapd.url(), directory.path())?.run(LIMIT)?.success()?;
    let books = books(&ended)?;
    books.all_exported()?;
    ensure!(books.exported == Count { packets: 200, octets: 20_000 }, "{books:?}");
    Ok(())
}

/// Replays files that have a fault; gives the books and the one line of error.
fn faulty(files: &[&Path]) -> Result<(Books, String)> {
    let nfcapd = Nfcapd::start(None)?;
    let replay = program()?.arg("replay").args(files).args(["--collector", &nfcapd.url(), "--json"]);
    let ended = replay.run(LIMIT)?;
    ensure!(ended.code == Some(1), "exit status {:?}: {}", ended.code, ended.stderr);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    ensure!(lines.len() == 1, "not one line of error: {}", ended.stderr);
    let books = books(&ended)?;
    books.all_exported()?;
    Ok((books, lines.concat()))
}

#[test]
fn a_cut_file_is_named_and_the_files_behind_it_are_read() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    capture(&path("whole.pcap"), &TRAFFIC)?;
    let whole = fs::read(path("whole.pcap"))?;
    fs::write(path("cut.pcap"), whole.get(..whole.len() - 10).context("cut")?)?;
    fs::write(path("empty.pcap"), "")?;
    // 99 whole packets, a file that is no capture, an empty file, and a whole capture.
    let (cut, empty, absent, good) =
        (path("cut.pcap"), path("empty.pcap"), path("absent.pcap"), path("whole.pcap"));
    let (books, line) = faulty(&[&cut, &empty, &absent, &good])?;
    ensure!(books.exported.packets == 199, "{books:?}");
    for name in ["cut.pcap", "empty.pcap", "absent.pcap"] {
        ensure!(line.contains(name), "{name} is not in: {line}");
    }
    ensure!(!line.contains("whole.pcap"), "{line}");
    // Many packets in several blocks: packets in front of the cut are metered, packed or not.
    let many = Traffic { flows: 20_000, packets: 20_000, ..TRAFFIC };
    capture(&path("many.pcap"), &many)?;
    for packer in ["gzip", "zstd"] {
        let name = path(&format!("many.{packer}"));
        let packed = format!(r#"{packer} -c "$2/many.pcap" >"$2/many.{packer}""#);
        shell(&packed, "", directory.path())?.run(LIMIT)?.success()?;
        let octets = fs::read(&name)?;
        let cut = octets.len() * 4 / 5;
        fs::write(&name, octets.get(..cut).context("cut")?)?;
        // The packer's own output of the file.
        let unpack = format!(r#"{packer} -dc <"$2/many.{packer}" 2>/dev/null | wc -c"#);
        let unpacked = shell(&unpack, "", directory.path())?.run(LIMIT)?.stdout;
        let packets = unpacked.trim().parse::<u64>()?.saturating_sub(24) / 130;
        let (books, line) = faulty(&[&name, &good])?;
        ensure!(line.contains("the file is cut"), "{line}");
        ensure!(packets > 10_000, "{packer} unpacks {packets} packets only");
        let metered = books.exported.packets - 100;
        ensure!(metered >= packets, "{packer}: {metered} packets metered, {packets} can be unpacked");
    }
    Ok(())
}

/// A pcapng file in this machine's byte order: an interface of each link type, and packets by interface, seconds
/// and octets. The first two packets have the wire lengths of their octets.
fn pcapng(path: &Path, links: &[u16], packets: &[(u32, i64, Vec<u8>)]) -> Result<()> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = u32::try_from(body.len() + padding.len() + 12).unwrap_or(0).to_ne_bytes();
        [&kind.to_ne_bytes()[..], &length, body, &padding, &length].concat()
    };
    let head = [&0x1a2b_3c4d_u32.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &[0; 2], &[0xff; 8]].concat();
    let mut file = block(0x0a0d_0d0a, &head);
    for link in links {
        // if_tsresol 0: seconds.
        let options = [&9_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &[0; 4]].concat();
        // if_tsoffset: 100 seconds before 1970.
        let offset = [&14_u16.to_ne_bytes()[..], &8_u16.to_ne_bytes(), &(-100_i64).to_ne_bytes()].concat();
        file.extend(block(1, &[&link.to_ne_bytes()[..], &[0; 6], &options, &offset].concat()));
    }
    for (interface, second, octets) in packets {
        let ticks = u64::try_from(second + 100)?;
        let length = u32::try_from(octets.len())?;
        let words =
            [*interface, u32::try_from(ticks >> 32)?, u32::try_from(ticks & 0xffff_ffff)?, length, length];
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        file.extend(block(6, &[&words[..], octets].concat()));
    }
    fs::write(path, file).with_context(|| path.display().to_string())
}

/// Replays one file into nfcapd; gives its end and the flows that arrived.
fn replayed(file: &Path) -> Result<(Finished, Flows)> {
    let nfcapd = Nfcapd::start(None)?;
    let replay = program()?.arg("replay").arg(file).args(["--collector", &nfcapd.url(), "--json"]);
    let ended = replay.run(LIMIT)?.success()?;
    Ok((ended, Flows::by_tuple(&nfcapd.stop()?.clean()?)))
}

/// Addresses and ports of each frame, by tshark.
fn dissected(file: &Path) -> Result<Vec<String>> {
    let fields = ["ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport"];
    let tshark = Program::find("tshark")?.args(["-n", "-T", "fields", "-r"]).arg(file);
    let shown = tshark.args(fields.iter().flat_map(|field| ["-e", field])).run(LIMIT)?.success()?.stdout;
    Ok(shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

#[test]
fn the_link_types_of_gateways() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("links.pcapng");
    let (v4, v6) = (
        Traffic { flows: 1, packets: 1, ipv6: false, protocol: UDP, length: 100 },
        Traffic { flows: 1, packets: 1, ipv6: true, protocol: UDP, length: 100 },
    );
    let ip = |traffic: &Traffic| traffic.frame(0).get(14..).unwrap_or_default().to_vec();
    let pppoe = |protocol: u8| vec![0x11, 0, 0, 7, 0, 102, 0, protocol];
    let pflog = |family: u8| {
        let mut header = vec![61, family, 0, 0];
        header.extend(b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        header.resize(64, 0);
        header
    };
    let enc = |family: u32| [&family.to_ne_bytes()[..], &[0, 0, 0, 9, 0, 0, 0, 0]].concat();
    let nflog = |family: u8| {
        let hook = [&8_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &[8, 0, 1, 0]].concat();
        let payload = [104_u16.to_ne_bytes(), 9_u16.to_ne_bytes()].concat();
        [&[family, 0, 0, 1][..], &hook, &payload].concat()
    };
    let headers: [(u16, Vec<u8>, Vec<u8>); 6] = [
        (104, vec![0x0f, 0, 8, 0], vec![0x8f, 0, 0x86, 0xdd]),
        (239, nflog(2), nflog(10)),
        (51, pppoe(0x21), pppoe(0x57)),
        (204, vec![0, 0xff, 3, 0, 0x21], vec![1, 0xff, 3, 0, 0x57]),
        (117, pflog(2), pflog(24)),
        (109, enc(2), enc(24)),
    ];
    let mut packets = Vec::new();
    for (number, (_, four, six)) in (0..).zip(&headers) {
        packets.push((number, i64::from(START), [&four[..], &ip(&v4)].concat()));
        packets.push((number, i64::from(START), [&six[..], &ip(&v6)].concat()));
    }
    pcapng(&file, &headers.each_ref().map(|(link, ..)| *link), &packets)?;
    let seen = dissected(&file)?;
    for pair in seen.chunks(2) {
        ensure!(
            pair == ["10.0.0.0 192.0.2.1 4096 443", "fd00:0:0:1:: fd00:0:0:2::1 4096 443"],
            "tshark: {seen:?}"
        );
    }
    let (ended, flows) = replayed(&file)?;
    let books = books(&ended)?;
    books.all_exported()?;
    ensure!(books.exported == Count { packets: 12, octets: 1_200 }, "{books:?}");
    let mut truth = Traffic { packets: 6, ..v4 }.truth();
    truth.merge(&Traffic { packets: 6, ..v6 }.truth());
    equal(&truth, &flows, Columns::WITHOUT_TTL)
}

#[test]
fn packets_of_other_link_types_and_times_are_ignored_by_their_reason() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("mixed.pcapng");
    let traffic = Traffic { flows: 1, packets: 5, ipv6: false, protocol: UDP, length: 100 };
    let (good, start) = (traffic.frame(0), i64::from(START));
    let other = vec![0xee; 33];
    let packets = [
        (1, start, other.clone()),
        (0, start, good.clone()),
        (0, -1, good.clone()),
        (0, start, good.clone()),
        (1, start, other.clone()),
        (2, start, other.clone()),
        (0, 1 << 32, good.clone()),
        (0, start + 1, good.clone()),
        // A time that is out of range by far, of a link type that is not known.
        (1, 1 << 60, other),
        (0, (1 << 32) - 1, good.clone()),
        (0, start + 2, good),
    ];
    pcapng(&file, &[1, 253, 192], &packets)?;
    let (ended, flows) = replayed(&file)?;
    let said: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("mixed.pcapng")).collect();
    ensure!(said.len() == 3, "each kind is said once: {}", ended.stderr);
    for (reason, kind) in
        [("unsupported_link", "253"), ("unsupported_link", "192"), ("time_out_of_range", "before 1970")]
    {
        ensure!(said.iter().any(|line| line.contains(reason) && line.contains(kind)), "{kind}: {said:?}");
    }
    let books = books(&ended)?;
    books.all_exported()?;
    let ignored = |reason: &str| books.ignored.get(reason).copied().unwrap_or_default();
    ensure!(ignored("unsupported_link") == Count { packets: 3, octets: 99 }, "{books:?}");
    ensure!(ignored("time_out_of_range") == Count { packets: 3, octets: 2 * 114 + 33 }, "{books:?}");
    ensure!(books.seen == Count { packets: 11, octets: 5 * 100 + 99 + 261 }, "{books:?}");
    let interface = books.interfaces.get("1").context("no interface 1")?;
    ensure!(
        interface.seen == books.seen && interface.ignored == Count { packets: 6, octets: 360 },
        "{books:?}"
    );
    equal(&traffic.truth(), &flows, Columns::WITHOUT_TTL)
}

/// A replay's stdout and stderr on a terminal.
fn on_a_terminal(directory: &Path, line: &str) -> Result<Running> {
    let script = Program::find("script")?.args(["-qefc", line, "/dev/null"]).env("TERM", "xterm");
    let agent = program()?.path().display().to_string();
    script.env("AGENT", &agent).env("FOLDER", &directory.display().to_string()).start()
}

#[test]
fn progress_is_shown_on_a_terminal_and_taken_away() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("a.pcap");
    capture(&path, &Traffic { flows: 50_000, packets: 50_000, ..TRAFFIC })?;
    let nfcapd = Nfcapd::start(None)?;
    // Through a pipe that waits, so that there is something to see however fast the machine is.
    let line = format!(
        r#"(head -c 3000000 "$FOLDER/a.pcap"; sleep 1; tail -c +3000001 "$FOLDER/a.pcap") | "$AGENT" replay - --collector {}"#,
        nfcapd.url()
    );
    let shown = on_a_terminal(directory.path(), &line)?.wait(LIMIT)?.success()?.stdout;
    ensure!(shown.contains(" packets, 2023-11-14T22:13:"), "no progress: {shown:?}");
    ensure!(shown.contains(" packets/s\x1b[K"), "no rate: {shown:?}");
    // The progress line is gone before the books are printed.
    let (progress, books) = shown.split_once("\r\x1b[K ").context("the line stays")?;
    ensure!(progress.contains("packets/s") && !books.contains("packets/s"), "{shown:?}");
    ensure!(books.contains("The books balance"), "{books}");
    // With stderr in a file, stdout on a terminal: nothing.
    let line = format!(r#""$AGENT" replay "$FOLDER/a.pcap" --collector {} 2>"$FOLDER/err""#, nfcapd.url());
    let shown = on_a_terminal(directory.path(), &line)?.wait(LIMIT)?.success()?.stdout;
    let err = fs::read_to_string(directory.path().join("err"))?;
    ensure!(!shown.contains("packets/s") && err.is_empty(), "{shown:?} {err:?}");
    Ok(())
}
