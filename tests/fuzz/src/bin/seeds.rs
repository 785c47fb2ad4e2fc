//! Writes what the fuzzers start from: the frames of the project's captures, each once.
//!
//! `fuzz-seeds TARGET DIRECTORY`

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use flowxdp::capture::{Frame, Reader, to_ethernet};
use flowxdp_fuzz::input::Input;

/// Longer frames are left out: what a fuzzer finds in them it finds in short ones, only faster.
const LONGEST: usize = 1500;
/// Octets of a capture file: those of one short packet, or the start of a longer file. What that is cut in is
/// a fault that a reader must tell.
const FILE: usize = 512;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().context("fuzz-seeds TARGET DIRECTORY")?;
    let into = PathBuf::from(arguments.next().context("fuzz-seeds TARGET DIRECTORY")?);
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    let mut seeds = BTreeSet::new();
    for entry in fs::read_dir(&captures).with_context(|| captures.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            match target.as_str() {
                "parser" => frames(&path, |frame| parser(frame, &mut seeds))?,
                "capture" => {
                    let file = fs::read(&path)?;
                    seeds.insert(file.get(..FILE).unwrap_or(&file).to_vec());
                    frames(&path, |frame| capture(frame, &mut seeds))?;
                }
                other => bail!("there is no target {other}"),
            }
        }
    }
    fs::create_dir_all(&into)?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(into.join(format!("seed-{number:04}")), seed)?;
    }
    println!("{} seeds for {target}", seeds.len());
    Ok(())
}

fn frames(path: &Path, mut keep: impl FnMut(Frame<'_>)) -> Result<()> {
    let mut reader = Reader::open(path)?;
    while let Some(frame) = reader.next()? {
        if frame.data.len() <= LONGEST {
            keep(frame);
        }
    }
    Ok(())
}

fn parser(frame: Frame<'_>, seeds: &mut BTreeSet<Vec<u8>>) {
    let mut octets = Vec::new();
    if let Ok(lengths) = to_ethernet(frame.link, frame.data, frame.wire, &mut octets) {
        seeds.extend(Input { octets: &octets, wire: lengths.wire, cut: octets.len() * 2 / 3 }.encode());
    }
}

/// Each frame that is not Ethernet in a file of its own; the reader does not look into the others.
fn capture(frame: Frame<'_>, seeds: &mut BTreeSet<Vec<u8>>) {
    let Ok(length) = u32::try_from(frame.data.len()) else { return };
    if frame.link == 1 {
        return;
    }
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, frame.link, 1, 2, length, frame.wire] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(frame.data);
    if file.len() <= FILE {
        seeds.insert(file);
    }
}
