//! The truth of captures that were recorded, judged by tshark. No kernel has a part in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

#[test]
fn the_truth_of_recorded_captures_is_what_tshark_reads() -> Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut recorded = 0;
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        let name = path.file_name().context("a capture without a name")?.to_string_lossy();
        if name.starts_with("recorded-") {
            recorded += 1;
            for (name, text) in flowxdp_tests::recorded::derive(&path)? {
                let committed = fs::read_to_string(directory.join("truth").join(&name))?;
                ensure!(committed == text, "{name} is not what tshark reads");
            }
        }
    }
    ensure!(recorded > 0, "there are no recorded captures");
    Ok(())
}
