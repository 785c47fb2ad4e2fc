//! The spool under a live agent: full, on a disk that is full or read-only, and left by runs that were killed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::Count;
use flowxdp_tests::delivery::Records;
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::judge::sessions::{Received, Session};
use flowxdp_tests::process::Program;
use flowxdp_tests::stage::{Stage, all_delivered, at_rest, balanced, of};

/// The namespace has no other process.
const PORT: u16 = 4_739;
const LIMIT: Duration = Duration::from_secs(30);
const FLOWS: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(150);

/// The files of messages below a spool's directory, the oldest first.
fn segments(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in fs::read_dir(directory)? {
        for file in fs::read_dir(folder?.path())? {
            files.push(file?.path());
        }
    }
    files.retain(|file| file.extension().is_some_and(|ending| ending == "ipfix"));
    files.sort();
    Ok(files)
}

/// Octets of all files below a spool's directory.
fn octets(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for folder in fs::read_dir(directory)? {
        for file in fs::read_dir(folder?.path())? {
            // One that was just removed takes no room.
            sum += fs::metadata(file?.path()).map_or(0, |metadata| metadata.len());
        }
    }
    Ok(sum)
}

/// The records on disk, as any reader of such files sees them.
fn on_disk(directory: &Path) -> Result<Received> {
    let mut files = Vec::new();
    for file in segments(directory)? {
        files.push(Session { octets: fs::read(file)?, ..Session::default() });
    }
    Received::read(&files)
}

/// tshark must know the file's type, read all of it and find nothing.
fn tshark_reads(file: &Path) -> Result<()> {
    let read = |more: &[&str]| {
        Program::find("tshark")?.args(["-n", "-r"]).arg(file).args(more).run(LIMIT)?.success()
    };
    let found = read(&["-q", "-z", "expert"])?;
    ensure!(found.stdout.trim().is_empty(), "tshark, {}: {}", file.display(), found.stdout);
    let messages = read(&["-Y", "cflow"])?.stdout.lines().count();
    ensure!(messages > 0, "tshark sees no message in {}", file.display());
    Ok(())
}

#[test]
fn a_full_spool_gives_up_the_oldest_and_counts_it() -> Result<()> {
    const MOST: u64 = 512 << 10;
    let (stage, directory) = (Stage::new()?, tempfile::tempdir()?);
    let path = directory.path().display().to_string();
    let url = format!("tcp://127.0.0.1:{PORT}");
    let spool = ["--spool", &path, "--spool-limit", "512KiB"];
    let mut live = stage.agent(&[&url], &spool)?;
    let sent = stage.traffic(FLOWS, PAUSE, || {
        for _ in 0..60 {
            let octets = octets(directory.path())?;
            ensure!(octets <= MOST, "{octets} octets on disk, at most {MOST} allowed");
            balanced(&live)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    })?;
    live.until(LIMIT, "out of the table", |books| books.in_table.packets == 0)?;
    // Messages that are filled in part follow.
    std::thread::sleep(Duration::from_millis(2_500));
    let newest = on_disk(directory.path())?;
    let mut collector = stage.tcp(PORT)?;
    let rows = at_rest(&mut live, sent)?;
    let log = live.log();
    live.stop()?.success()?;
    let (rows, received) = (of(&rows, "tcp:")?, Received::read(&collector.kill())?);
    rows.delivered(&received)?;
    let lost = *rows.lost_by_reason.get("spool_full").context("nothing was lost")?;
    ensure!(lost == rows.lost && lost.records > 0, "lost for other reasons too: {rows:?}");
    let distinct = received.distinct();
    let missing = Count { packets: sent.packets - distinct.packets, octets: sent.octets - distinct.octets };
    ensure!(missing == Count { packets: lost.packets, octets: lost.octets }, "{missing:?}, lost {lost:?}");
    let kept = newest.records.keys().all(|identity| received.records.contains_key(identity));
    ensure!(kept, "something that was on disk at the end did not come");
    let said = log.lines().filter(|line| line.contains("in its spool are lost")).count();
    ensure!(said == 1, "said {said} times:\n{log}");
    tell(&format!("full spool: {} records came, {} gave way", distinct.records, lost.records));
    Ok(())
}

/// The limit of a file's size under which an agent is started, instead of a disk.
const LIMITED: &str = "--fsize=262144:262144";

/// Starts without a collector on a disk that takes little or nothing, and lets the collector come later.
fn bad_disk(tmpfs: &str, said: &str) -> Result<()> {
    let (stage, directory) = (Stage::new()?, tempfile::tempdir()?);
    let path = directory.path().display().to_string();
    let url = format!("tcp://127.0.0.1:{PORT}");
    let mut live = if tmpfs == LIMITED {
        stage.agent_by(&["prlimit", LIMITED], &[&url], &["--spool", &path])?
    } else {
        stage.agent_on(tmpfs, directory.path(), &[&url], &["--spool", &path])?
    };
    let sent = stage.traffic(FLOWS, PAUSE, || {
        for _ in 0..10 {
            balanced(&live)?;
            std::thread::sleep(Duration::from_millis(400));
        }
        Ok(())
    })?;
    let mut collector = stage.tcp(PORT)?;
    let rows = at_rest(&mut live, sent)?;
    let log = live.log();
    live.stop()?.success()?;
    all_delivered(tmpfs, of(&rows, "tcp:")?, &collector.kill())?;
    let lines = log.lines().filter(|line| line.contains("spool") && line.contains(said)).count();
    ensure!(lines == 1, "said {lines} times that {said}:\n{log}");
    Ok(())
}

#[test]
fn memory_goes_on_where_the_disk_does_not() -> Result<()> {
    let disks = [
        ("size=256k", "No space left"),
        ("size=64k,nr_inodes=1", "No space left"),
        ("ro", "Read-only file system"),
    ];
    // At the same time: most of it is waiting.
    let results = std::thread::scope(|scope| {
        let threads = disks.map(|(tmpfs, said)| (tmpfs, scope.spawn(move || bad_disk(tmpfs, said))));
        threads.map(|(tmpfs, thread)| (tmpfs, thread.join()))
    });
    let mut failures = Failures::default();
    for (tmpfs, result) in results {
        failures.check(tmpfs, || result.map_err(|_| anyhow::anyhow!("it panicked"))?);
    }
    failures.end()
}

#[test]
fn a_planted_link_is_not_followed() -> Result<()> {
    let (stage, directory, victim) = (Stage::new()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let path = directory.path().display().to_string();
    let url = "tcp://127.0.0.1:9";
    let spool = ["--spool", &path];
    stage.agent(&[url], &spool)?.stop()?.success()?;
    let folder = fs::read_dir(directory.path())?.next().context("no folder of the collector")??.path();
    let mode = || Ok::<_, std::io::Error>(fs::metadata(victim.path())?.permissions().mode() & 0o7777);
    fs::set_permissions(victim.path(), fs::Permissions::from_mode(0o755))?;
    let refused = |what: &str, word: &str| {
        let live =
            Live::launch(&stage.netns, &[&["--interface", "met0", "--collector", url], &spool[..]].concat())?;
        let ended = live.ended(LIMIT)?;
        let errors: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("flowxdp: ")).collect();
        ensure!(ended.code == Some(1) && errors.len() == 1 && errors[0].contains(word), "{what}: {ended:?}");
        ensure!(mode()? == 0o755 && fs::read_dir(victim.path())?.next().is_none(), "{what}: it was followed");
        stage.netns.expect_clean("met0")
    };
    // A file in the folder, and then the folder.
    let target = victim.path().join("target");
    fs::remove_file(folder.join("position"))?;
    symlink(&target, folder.join("position"))?;
    refused("a file", "symbolic link")?;
    fs::remove_dir_all(&folder)?;
    symlink(victim.path(), &folder)?;
    refused("a folder", "symbolic link")?;
    // Another user's folder.
    fs::remove_file(&folder)?;
    fs::create_dir(&folder)?;
    chown(&folder, Some(65_534), Some(65_534))?;
    refused("another user's folder", "user 65534")
}

#[test]
fn a_limit_of_a_files_size_is_a_disk_that_takes_no_more() -> Result<()> {
    bad_disk(LIMITED, "File too large")
}

/// A spooling agent is killed after a while: its records are on disk or lost.
fn spool_and_die(stage: &Stage, url: &str, spool: &[&str], after: Duration) -> Result<()> {
    let mut live = Some(stage.agent(&[url], spool)?);
    let mut killed = Ok(None);
    let sent = stage.traffic(FLOWS, PAUSE, || {
        std::thread::sleep(after);
        killed = live.take().map(Live::kill).transpose();
        Ok(())
    });
    // Packets that were on the way then, nobody took.
    drop(sent);
    killed.map(|_| ())
}

/// A run that was killed in the middle of a message leaves a torn end.
fn tear(directory: &Path) -> Result<()> {
    let last = segments(directory)?.pop().context("nothing was spooled")?;
    let message = fs::read(&last)?;
    let half = message.get(..40).context("a short file")?;
    // The beginning of a message that says it is longer.
    OpenOptions::new().append(true).open(last)?.write_all(half)?;
    Ok(())
}

#[test]
fn what_killed_agents_left_on_disk_is_delivered() -> Result<()> {
    let (stage, directory) = (Stage::new()?, tempfile::tempdir()?);
    let path = directory.path().display().to_string();
    let url = format!("tcp://127.0.0.1:{PORT}");
    let spool = ["--spool", &path];
    for death in 0..4_u64 {
        let before = on_disk(directory.path())?.distinct();
        spool_and_die(&stage, &url, &spool, Duration::from_millis(2_800 + 213 * death))?;
        let after = on_disk(directory.path())?.distinct();
        ensure!(after.records > before.records, "nothing was added: {before:?}, {after:?}");
    }
    for file in segments(directory.path())? {
        tshark_reads(&file)?;
    }
    tear(directory.path())?;
    let left = on_disk(directory.path())?;
    // An agent that is killed while it sends the others' records, slowly.
    let mut collector = stage.tcp(PORT)?;
    let slow = ["--spool", &path, "--pace", "20"];
    let live = stage.agent(&[&url], &slow)?;
    while collector.received() < 100_000 {
        std::thread::sleep(Duration::from_millis(5));
    }
    live.kill()?;
    let mut sessions = collector.kill();
    let first = Received::read(&sessions)?;
    ensure!(first.records.len() < left.records.len(), "everything was sent before the kill");
    let mut collector = stage.tcp(PORT)?;
    let mut live = stage.agent(&[&url], &spool)?;
    let rows = at_rest(&mut live, Count::default())?;
    live.stop()?.success()?;
    sessions.extend(collector.kill());
    let (rows, all) = (of(&rows, "tcp:")?, Received::read(&sessions)?);
    ensure!(all.distinct() == left.distinct(), "on disk {:?}, came {:?}", left.distinct(), all.distinct());
    ensure!(left.records.keys().all(|identity| all.records.contains_key(identity)), "others came");
    let [inherited, exported, lost] = rows.inherited;
    ensure!(inherited == left.distinct() && exported == inherited, "{rows:?}");
    ensure!(lost == Records::default() && rows.retired() == Records::default(), "{rows:?}");
    let twice = all.all().records - all.distinct().records;
    ensure!(twice <= rows.perhaps_twice.records, "{twice} came twice: {rows:?}");
    ensure!(rows.perhaps_twice.records < inherited.records, "what was never sent is named: {rows:?}");
    tell(&format!(
        "after five kills: {} records on disk and delivered, {twice} twice, {} perhaps",
        inherited.records, rows.perhaps_twice.records
    ));
    Ok(())
}
