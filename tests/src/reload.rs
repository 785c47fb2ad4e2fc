//! An agent with a configuration file, which a reload reads again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::agent::{Live, program};
use crate::books::{Books, Count};
use crate::netns::Netns;
use crate::process::{Finished, Program};
use crate::traffic::Traffic;

/// How long a reload, or an agent on its way to rest, may take.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A namespace with a pair of interfaces, and the file of an agent in it.
pub struct Stage {
    /// The namespace.
    pub netns: Netns,
    sender: &'static str,
    folder: TempDir,
}

impl Stage {
    /// `sender` and `metered` are the two ends of the pair.
    pub fn new(sender: &'static str, metered: &str) -> Result<Self> {
        let netns = Netns::new("reload")?;
        netns.veth(sender, metered)?;
        Ok(Self { netns, sender, folder: tempfile::tempdir()? })
    }

    /// The folder of the file.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("flowxdp.toml")
    }

    /// Writes the file.
    pub fn write(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.file(), text)?)
    }

    /// The agent of the file, with further flags.
    pub fn agent(&self, more: &[&str]) -> Result<Live> {
        let file = self.file().display().to_string();
        Live::start(&self.netns, &[&["--config", file.as_str()], more].concat())
    }

    /// Sends rounds of traffic while `work` is done; gives packets and octets sent.
    pub fn meanwhile(&self, round: &Traffic, work: impl FnOnce() -> Result<()>) -> Result<Count> {
        Ok(round.times(round.rounds_while(&self.netns, self.sender, Duration::ZERO, work)?))
    }
}

/// `flowxdp reload` for this agent.
pub fn asking(live: &Live) -> Result<Program> {
    Ok(program()?.args(["reload", "--socket"]).arg(live.socket()))
}

/// Its end.
pub fn reload(live: &Live) -> Result<Finished> {
    asking(live)?.run(LIMIT)
}

/// Reloads until no earlier change is in the way: a removed collector that comes again, tables that drain. A client
/// that a loaded machine keeps from its first octet for too long gets no answer. Gives the client's output.
pub fn applied(live: &Live) -> Result<String> {
    loop {
        let ended = reload(live)?;
        live.status()?.balance()?;
        let waits = ["still being removed", "still drain", "does not answer"]
            .iter()
            .any(|words| ended.stderr.contains(words));
        if !waits {
            return Ok(ended.success()?.stdout);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The books once no packet is in a table or a queue.
pub fn at_rest(live: &mut Live) -> Result<Books> {
    live.until(LIMIT, "at rest", |books| {
        let queued = books.collectors.values().map(|it| it.queued.packets).sum::<u64>();
        books.in_table.packets + books.queued.packets + queued == 0
    })?;
    let books = live.status()?;
    books.balance()?;
    Ok(books)
}
