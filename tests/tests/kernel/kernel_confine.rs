//! A confined agent does all that it should, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::Count;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::process::Program;
use flowxdp_tests::stage::{Stage, all_delivered, at_rest, balanced, of};
use flowxdp_tests::traffic::{Traffic, UDP, generator};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(30);
const METERED: &str = "met0";
/// A user who owns nothing.
const NOBODY: u32 = 65_534;

/// The kernel's view of a thread's privileges, by name.
fn status(task: &Path) -> Result<impl Fn(&str) -> Result<u64> + use<>> {
    let text = fs::read_to_string(task.join("status"))?;
    Ok(move |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let line = line.with_context(|| format!("no {name}: {text}"))?.trim();
        Ok(u64::from_str_radix(line, 16)?)
    })
}

/// Fails unless every thread has these capabilities and no others, cannot gain any, and is under seccomp.
fn confined(live: &Live, capabilities: u64) -> Result<()> {
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{}/task", live.pid()))? {
        let task = task?.path();
        // A thread that has ended meanwhile has no privileges.
        let Ok(status) = status(&task) else { continue };
        threads += 1;
        for (name, wanted) in [
            ("CapEff", capabilities),
            ("CapPrm", capabilities),
            ("CapBnd", capabilities),
            ("CapInh", 0),
            ("CapAmb", 0),
            ("NoNewPrivs", 1),
            ("Seccomp", 2),
        ] {
            let found = status(name)?;
            ensure!(found == wanted, "{}: {name} is {found:x}, not {wanted:x}", task.display());
        }
    }
    ensure!(threads > 0, "no thread");
    let log = live.log();
    let said = log.lines().filter(|line| line.contains("confined: ")).count();
    // Older kernels limit fewer accesses to files.
    ensure!(said == 1 && log.contains("Landlock limits files"), "{log}");
    ensure!(log.contains("seccomp limits system calls"), "{log}");
    Ok(())
}

/// The agent must not have run into its own walls.
fn unhindered(log: &str) -> Result<()> {
    let words = ["denied", "not permitted", "not implemented"];
    let hindered: Vec<_> = log.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect();
    ensure!(hindered.is_empty(), "{hindered:#?}");
    Ok(())
}

/// Takes a file's place, as tools that renew certificates do.
fn replace(file: &Path, octets: &[u8]) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, octets)?;
    Ok(fs::rename(new, file)?)
}

#[test]
fn a_confined_agent_does_all_that_it_should() -> Result<()> {
    let (stage, spool) = (Stage::new()?, tempfile::tempdir()?);
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let (mut tcp, mut tls) = (stage.tcp(0)?, stage.tls(0)?);
    // A name that nobody knows yet, and a certificate that comes later.
    stage.netns.hosts("127.0.0.1 localhost\n")?;
    let good = [&stage.client.cert_file, &stage.client.key_file].map(fs::read);
    let stranger = stage.authority.self_signed("stranger", &flowxdp_tests::authority::client()?)?;
    replace(&stage.client.cert_file, &fs::read(&stranger.cert_file)?)?;
    replace(&stage.client.key_file, &fs::read(&stranger.key_file)?)?;
    let urls = [nfcapd.url(), format!("tcp://late.test:{}", tcp.port()), stage.tls_url(tls.port())];
    let path = spool.path().display().to_string();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut live = stage.agent(&urls, &["--spool", &path])?;
    confined(&live, 0)?;
    let sent = stage.traffic(1_000, Duration::from_millis(200), || {
        live.until_log(LIMIT, "waiting for the name and with the wrong certificate", |log| {
            log.contains("late.test") && log.contains("certificate")
        })?;
        std::thread::sleep(Duration::from_secs(2));
        balanced(&live)?;
        confined(&live, 0)?;
        ensure!(tls.received() == 0 && tcp.received() == 0, "something came too early");
        for (octets, file) in good.into_iter().zip([&stage.client.cert_file, &stage.client.key_file]) {
            replace(file, &octets?)?;
        }
        live.signal(Signal::HUP)?;
        stage.netns.hosts("127.0.0.1 localhost late.test\n")?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    })?;
    let rows = at_rest(&mut live, sent)?;
    confined(&live, 0)?;
    let socket = live.socket().to_owned();
    let log = live.stop()?.success()?.stderr;
    ensure!(!socket.exists(), "the socket is left\n{log}");
    stage.netns.expect_clean(METERED)?;
    all_delivered("TCP, by a name that came late", of(&rows, "tcp:")?, &tcp.kill())?;
    all_delivered("TLS, by a certificate that came late", of(&rows, "tls:")?, &tls.kill())?;
    let records = nfcapd.stop()?.clean()?;
    let (packets, octets) = Flows::by_tuple(&records).totals();
    ensure!(Count { packets, octets } == sent, "over UDP {packets} packets, {octets} octets of {sent:?}");
    unhindered(&log.lines().filter(|line| !line.contains("certificate")).collect::<Vec<_>>().join("\n"))
}

/// Meters some packets and exports them to nfcapd, over UDP.
fn meters(stage: &Stage, nfcapd: Nfcapd, live: Live) -> Result<String> {
    let traffic = Traffic { flows: 100, packets: 10_000, ipv6: false, protocol: UDP, length: 100 };
    generator().send(&traffic, &stage.netns, "gen0")?;
    balanced(&live)?;
    let log = live.stop()?.success()?.stderr;
    stage.netns.expect_clean(METERED)?;
    equal(&traffic.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)?;
    Ok(log)
}

/// An agent that a user who owns nothing runs with three capabilities.
fn by_nobody(stage: &Stage, arguments: &[&str]) -> Result<Live> {
    let sets = ["--inh-caps", "--ambient-caps", "--bounding-set"];
    let capabilities = sets.iter().flat_map(|set| [*set, "-all,+bpf,+perfmon,+net_admin"]);
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let wrapper: Vec<&str> = user.into_iter().chain(capabilities).collect();
    Live::start_by(&wrapper, NOBODY, &stage.netns, arguments)
}

#[test]
fn a_user_with_three_capabilities_meters_as_root_does() -> Result<()> {
    let stage = Stage::new()?;
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let url = nfcapd.url();
    let live = by_nobody(&stage, &["--interface", METERED, "--collector", &url])?;
    let task = format!("/proc/{}", live.pid());
    ensure!(fs::metadata(&task)?.uid() == NOBODY, "it is another user's");
    let status = status(Path::new(&task))?;
    for name in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        ensure!(status(name)? == 0, "{name} is left");
    }
    unhindered(&meters(&stage, nfcapd, live)?)
}

#[test]
fn such_a_user_goes_on_with_pins_in_a_folder_of_its_own() -> Result<()> {
    let (stage, bpffs) = (Stage::new()?, Bpffs::new()?);
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let folder = bpffs.path().join("own");
    fs::create_dir(&folder)?;
    chown(&folder, Some(NOBODY), Some(NOBODY))?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    let (url, pins) = (nfcapd.url(), folder.join("table").display().to_string());
    let arguments = ["--interface", METERED, "--collector", &url, "--pin", &pins];
    let traffic = Traffic { flows: 100, packets: 10_000, ipv6: false, protocol: UDP, length: 100 };
    let live = by_nobody(&stage, &[&arguments[..], &["--keep"]].concat())?;
    generator().send(&traffic, &stage.netns, "gen0")?;
    unhindered(&live.stop()?.success()?.stderr)?;
    // No agent runs, and the packets are metered.
    generator().send(&traffic, &stage.netns, "gen0")?;
    let live = by_nobody(&stage, &arguments)?;
    generator().send(&traffic, &stage.netns, "gen0")?;
    unhindered(&live.stop()?.success()?.stderr)?;
    stage.netns.expect_clean(METERED)?;
    let left: Vec<_> = fs::read_dir(&folder)?.collect();
    ensure!(left.is_empty(), "pins are left: {left:?}");
    let all = Traffic { packets: 3 * traffic.packets, ..traffic };
    equal(&all.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}

#[test]
fn what_another_user_owns_keeps_one_capability_and_is_named() -> Result<()> {
    const DAC_OVERRIDE: u64 = 1 << 1;
    const DAC_READ_SEARCH: u64 = 1 << 2;
    let stage = Stage::new()?;
    let spool = tempfile::tempdir()?;
    chown(spool.path(), Some(NOBODY), Some(NOBODY))?;
    fs::set_permissions(spool.path(), fs::Permissions::from_mode(0o700))?;
    let path = spool.path().display().to_string();
    let live = stage.agent(&["tcp://127.0.0.1:9"], &["--spool", &path])?;
    confined(&live, DAC_OVERRIDE)?;
    ensure!(live.log().contains(&format!("CAP_DAC_OVERRIDE is kept, for {path}")), "{}", live.log());
    live.kill()?;
    chown(&stage.client.key_file, Some(NOBODY), Some(NOBODY))?;
    fs::set_permissions(&stage.client.key_file, fs::Permissions::from_mode(0o600))?;
    let live = stage.agent(&[&stage.tls_url(9)], &[])?;
    confined(&live, DAC_READ_SEARCH)?;
    let named = format!("CAP_DAC_READ_SEARCH is kept, for {}", stage.client.key_file.display());
    ensure!(live.log().contains(&named), "{}", live.log());
    live.signal(Signal::HUP)?;
    std::thread::sleep(Duration::from_secs(1));
    unhindered(&live.kill()?.stderr)
}

#[test]
fn an_unconfined_agent_says_so() -> Result<()> {
    let stage = Stage::new()?;
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let live = stage.agent(&[&nfcapd.url()], &["--no-confine"])?;
    let status = status(Path::new(&format!("/proc/{}", live.pid())))?;
    ensure!(status("CapEff")? != 0 && status("NoNewPrivs")? == 0, "it is confined all the same");
    let log = meters(&stage, nfcapd, live)?;
    ensure!(log.contains("WARN") && log.contains("--no-confine"), "{log}");
    Ok(())
}

/// The program that confines itself: where it was built, or beside the tests where those were taken along.
fn helper() -> Result<PathBuf> {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_flowxdp-confined"));
    Ok(if built.exists() { built } else { std::env::current_exe()?.with_file_name("flowxdp-confined") })
}

/// Attempts of a program that confines itself as the agent does, and their outcomes, by name.
fn tries(confined: &str) -> Result<Vec<(String, String)>> {
    let (read, written, forbidden) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let file = read.path().join("file");
    fs::write(&file, "1")?;
    fs::write(forbidden.path().join("secret"), "1")?;
    let program = Program::at(&helper()?).arg(confined).arg(file).arg(written.path()).arg(forbidden.path());
    let out = program.run(LIMIT)?.success()?.stdout;
    let line = |line: &str| Some(line.split_once(": ").map(|(name, result)| (name.into(), result.into())));
    out.lines().map(|text| line(text).flatten().with_context(|| text.to_owned())).collect()
}

#[test]
fn nobody_who_got_hold_of_the_agent_gets_further() -> Result<()> {
    const WANTED: usize = 11;
    let (free, confined) = (tries("off")?, tries("on")?);
    ensure!(free.len() == confined.len() && free.len() > WANTED, "{free:?} {confined:?}");
    let mut failures = Failures::default();
    for (number, ((name, without), (_, with))) in free.iter().zip(&confined).enumerate() {
        failures.check(name, || {
            ensure!(without == "done", "it does not work on this system anyway: {without}");
            match (number < WANTED, with.as_str()) {
                (true, "done") => Ok(()),
                (true, refused) => bail!("it is refused: {refused}"),
                (false, refused) if refused.contains("denied") || refused.contains("not permitted") => {
                    tell(&format!("{name}: {refused}"));
                    Ok(())
                }
                (false, other) => bail!("it is not refused: {other}"),
            }
        });
    }
    failures.end()
}

#[test]
fn whoever_got_hold_of_the_loader_can_load_and_nothing_else() -> Result<()> {
    // The loader's own process has no such socket.
    const DONE: [&str; 4] = ["its file", "its own limits", "an XDP program", "a note to the service manager"];
    let (free, confined) = (tries("off")?, tries("loader")?);
    // All but the last, which takes a thread.
    ensure!(free.len() == confined.len() + 1, "{free:?} {confined:?}");
    let mut failures = Failures::default();
    for ((name, without), (_, with)) in free.iter().zip(&confined) {
        failures.check(name, || {
            ensure!(without == "done", "it does not work on this system anyway: {without}");
            // A file that could not be made is not there.
            let refusals = ["denied", "not permitted", "not implemented", "No such file"];
            match (DONE.contains(&name.as_str()), with.as_str()) {
                (true, "done") => Ok(()),
                (true, refused) => bail!("it is refused: {refused}"),
                (false, refused) if refusals.iter().any(|word| refused.contains(word)) => Ok(()),
                (false, other) => bail!("it is not refused: {other}"),
            }
        });
    }
    failures.end()
}
