//! Writes the truth of recorded captures, given as arguments, beside them: in the folder `truth`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use flowxdp_tests::recorded;

fn main() -> Result<()> {
    for capture in std::env::args_os().skip(1).map(PathBuf::from) {
        let directory = capture.parent().context("a capture without a directory")?.join("truth");
        std::fs::create_dir_all(&directory)?;
        for (name, text) in recorded::derive(&capture)? {
            std::fs::write(directory.join(name), text)?;
        }
    }
    Ok(())
}
