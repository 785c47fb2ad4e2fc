//! `cargo xtask coverage`: the part of the code behind each fuzzer that its committed corpus does not reach.
//!
//! The tests run every input of the corpus once more, in a build with the compiler's own counters. Each area has a
//! ceiling in xtask/coverage.toml that may only fall: code that a fuzzer reads input by grows with its corpus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{build, ceilings, setup, shell};

/// The ceilings, from the top of the workspace.
const FILE: &str = "xtask/coverage.toml";

/// Percent above a ceiling that passes: the first ceilings were measured with a developer's settings, which leave other
/// functions in.
const SLACK: f64 = 1.0;

/// Settings of the build, which decide about the functions that are left in it; `.ci/run` has the same.
const BUILD: [(&str, &str); 3] =
    [("CARGO_INCREMENTAL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_PROFILE_DEV_STRIP", "debuginfo")];

/// An area, and the beginnings of its files' paths.
type Area = (&'static str, &'static [&'static str]);

const AREAS: [Area; 5] = [
    ("parser", &["flowxdp-ebpf/src/"]),
    ("capture", &["flowxdp/src/capture/"]),
    ("spool", &["flowxdp/core/src/exporting/spool"]),
    (
        "sessions",
        &[
            "flowxdp/core/src/exporting/session",
            "flowxdp/core/src/exporting/wire",
            "flowxdp/core/src/exporting/template",
            "flowxdp/core/src/exporting/legacy",
        ],
    ),
    ("names", &["flowxdp/core/src/enrich/names"]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ceilings {
    /// Percent of an area's regions that no input reaches.
    uncovered: BTreeMap<String, f64>,
}

/// Source regions of an area, and regions that an input reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Regions {
    count: u64,
    covered: u64,
}

impl Regions {
    /// Percent, to one place.
    fn uncovered(self) -> f64 {
        let share = (self.count - self.covered.min(self.count)) as f64 / self.count.max(1) as f64;
        (share * 1000.0).round() / 10.0
    }
}

/// Prints each area's figure beside its ceiling.
///
/// # Errors
///
/// An area is above its ceiling, or a ceiling rose; the compiler's tools cannot be had; the tests do not build or fail.
pub(crate) fn run() -> Result<()> {
    let tools = setup::llvm_tools()?;
    let root = shell::root();
    let text = std::fs::read_to_string(root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    let now = uncovered(&text)?;
    let mut faults = ceilings::risen(root, FILE, &now, |text| uncovered(text).ok());
    for (name, regions) in areas(&measured(&tools)?, root) {
        let (found, ceiling) = (regions.uncovered(), now.get(name).copied());
        let ceiling = ceiling.with_context(|| format!("{FILE} has no ceiling for {name}"))?;
        println!("{name:<10} {found:>5} % of {} regions uncovered, ceiling {ceiling} %", regions.count);
        if found > ceiling + SLACK {
            let fuzzer = if name == "sessions" { "encoder" } else { name };
            faults.push(format!("{name}: its corpus leaves {found} % uncovered, {FILE} allows {ceiling} %: run `cargo xtask fuzz {fuzzer} --update`"));
        }
    }
    faults.iter().for_each(|fault| eprintln!("coverage: {fault}"));
    ensure!(faults.is_empty(), "the corpus does not reach enough");
    Ok(())
}

fn uncovered(text: &str) -> Result<BTreeMap<String, f64>> {
    let Ceilings { uncovered } = toml::from_str(text).with_context(|| FILE.to_owned())?;
    Ok(uncovered)
}

/// llvm-cov's summary of a run of the whole corpus.
fn measured(tools: &Path) -> Result<Value> {
    let work = tempfile::tempdir()?;
    let mut cargo = shell::cargo(&["test", "--workspace", "--locked", "--test", "core", "--no-run"]);
    cargo.envs(BUILD);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", shell::root().join("xtask/src/coverage/instrument.sh"));
    // Build scripts have counters too.
    cargo.env("LLVM_PROFILE_FILE", work.path().join("build-%p.profraw"));
    let built = build::executables(&mut cargo)?;
    let test = built.iter().find(|built| built.is_test).context("cargo built no test")?;
    let (raw, profile) = (work.path().join("run.profraw"), work.path().join("run.profdata"));
    let mut run = Command::new(&test.path);
    run.arg("core_corpus::").current_dir(&test.package).env("LLVM_PROFILE_FILE", &raw);
    shell::check(&mut run)?;
    let tool = |name: &str| Command::new(tools.join(name));
    shell::quietly(tool("llvm-profdata").args(["merge", "--sparse"]).arg(&raw).arg("-o").arg(&profile))?;
    let mut export = tool("llvm-cov");
    export.args(["export", "--summary-only", "--instr-profile"]).arg(&profile).arg(&test.path);
    serde_json::from_str(&shell::text(&mut export)?).context("llvm-cov's summary is not JSON")
}

/// The sums of each area.
fn areas(summary: &Value, root: &Path) -> Vec<(&'static str, Regions)> {
    let files = summary["data"][0]["files"].as_array().into_iter().flatten();
    let files: Vec<(PathBuf, Regions)> = files
        .filter_map(|file| {
            let path = Path::new(file["filename"].as_str()?).strip_prefix(root).ok()?.to_owned();
            let regions = &file["summary"]["regions"];
            Some((path, Regions { count: regions["count"].as_u64()?, covered: regions["covered"].as_u64()? }))
        })
        .collect();
    let area = |(name, starts): Area| {
        let mut sum = Regions::default();
        for (path, regions) in &files {
            let path = path.to_string_lossy();
            if starts.iter().any(|start| path.starts_with(start)) && !path.contains("/tests") {
                sum.count += regions.count;
                sum.covered += regions.covered;
            }
        }
        (name, sum)
    };
    AREAS.into_iter().map(area).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_area_is_the_sum_of_its_files() {
        let file = |path: &str, count: u64, covered: u64| json!({"filename": path, "summary": {"regions": {"count": count, "covered": covered}}});
        let summary = json!({"data": [{"files": [
            file("/r/flowxdp-ebpf/src/walk.rs", 10, 7),
            file("/r/flowxdp-ebpf/src/parse/ipv4.rs", 20, 20),
            file("/r/flowxdp/src/capture/tests.rs", 5, 0),
            file("/elsewhere/flowxdp-ebpf/src/walk.rs", 100, 0),
        ]}]});
        let found = areas(&summary, Path::new("/r"));
        assert_eq!(found[0], ("parser", Regions { count: 30, covered: 27 }));
        assert!((found[0].1.uncovered() - 10.0).abs() < 0.01);
        assert_eq!(found[1], ("capture", Regions::default()));
    }

    #[test]
    fn every_area_has_a_ceiling() {
        let text = std::fs::read_to_string(shell::root().join(FILE)).unwrap();
        let ceilings = uncovered(&text).unwrap();
        assert!(AREAS.iter().all(|(name, _)| ceilings.contains_key(*name)) && ceilings.len() == AREAS.len());
    }
}
