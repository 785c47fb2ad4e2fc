//! Finds a test in the sources by the path that `cargo test` gives it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folders of the workspace's packages.
const PACKAGES: [&str; 7] =
    ["flowxdp-common", "flowxdp-ebpf", "flowxdp", "flowxdp/core", "tests", "tests/fuzz", "xtask"];

/// Where cargo finds a test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The package that it belongs to.
    pub(crate) package: String,
    /// The target in that package, as an argument of `cargo test`.
    pub(crate) target: Vec<String>,
    /// The test's path in the target.
    pub(crate) path: String,
}

/// Looks for a test by `CRATE::MODULE::NAME`, a package's own crate or one of its folder tests and then the path
/// that `cargo test` shows; or by `MODULE::NAME` alone, a file beside the `main.rs` of a folder test.
///
/// # Errors
///
/// There is no such file, no such function in it, or it is no test that runs.
pub(crate) fn find(root: &Path, test: &str) -> Result<Place> {
    let parts: Vec<&str> = test.split("::").collect();
    let ([crate_name, modules @ ..], name) =
        parts.split_last().map(|(name, rest)| (rest, name)).with_context(|| format!("no test {test}"))?
    else {
        bail!("{test} is not CRATE::MODULE::NAME");
    };
    let roots = roots(root, crate_name);
    // A module that is not a file of its own stands in that of the modules around it.
    for depth in (0..=modules.len()).rev() {
        let (of_files, inline) = modules.split_at(depth);
        let files =
            roots.iter().flat_map(|it| module(&it.file, of_files).into_iter().map(move |file| (it, file)));
        for (crate_root, file) in files {
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            if inline.iter().all(|module| has_module(&text, module)) {
                match state(&text, name) {
                    State::Runs => return Ok(crate_root.place(&parts)),
                    State::Ignored => bail!("the test {test} is ignored"),
                    State::NoTest => bail!("{test} is a function and no test"),
                    State::Absent => {}
                }
            }
        }
    }
    bail!("there is no test {test}")
}

/// The file that the first part of a test's path stands for: the first file of a crate, or of a module of a folder
/// test.
struct CrateRoot {
    package: String,
    target: Vec<String>,
    file: PathBuf,
    /// Whether the first part is a module, and so in the path that `cargo test` shows.
    is_module: bool,
}

impl CrateRoot {
    fn place(&self, parts: &[&str]) -> Place {
        let path = parts.get(usize::from(!self.is_module)..).unwrap_or_default().join("::");
        Place { package: self.package.clone(), target: self.target.clone(), path }
    }
}

/// The first files that a crate, or a module of a folder test, of this name may have.
fn roots(root: &Path, crate_name: &str) -> Vec<CrateRoot> {
    let mut roots = Vec::new();
    for folder in PACKAGES {
        let package = match folder {
            "flowxdp/core" => "flowxdp-core".to_owned(),
            "tests" => "flowxdp-tests".to_owned(),
            "tests/fuzz" => "flowxdp-fuzz".to_owned(),
            name => name.to_owned(),
        };
        let folder = root.join(folder);
        let mut add = |target: &[&str], file: String, is_module| {
            let target = target.iter().map(|&word| word.to_owned()).collect();
            roots.push(CrateRoot { package: package.clone(), target, file: folder.join(file), is_module });
        };
        if package.replace('-', "_") == crate_name {
            add(&["--lib"], "src/lib.rs".to_owned(), false);
            add(&["--bin", &package], "src/main.rs".to_owned(), false);
        }
        add(&["--test", crate_name], format!("tests/{crate_name}.rs"), false);
        add(&["--test", crate_name], format!("tests/{crate_name}/main.rs"), false);
        for test in folder_tests(&folder) {
            add(&["--test", &test], format!("tests/{test}/{crate_name}.rs"), true);
        }
    }
    roots.retain(|it| it.file.is_file());
    roots
}

/// Names of a package's integration tests that are folders.
fn folder_tests(package: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(package.join("tests")).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().join("main.rs").is_file());
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The files that a module may be, from the crate's first file.
fn module(crate_root: &Path, modules: &[&str]) -> Vec<PathBuf> {
    let Some(folder) = crate_root.parent() else { return Vec::new() };
    if modules.is_empty() {
        return vec![crate_root.to_owned()];
    }
    let path = folder.join(modules.join("/"));
    let files = [path.with_extension("rs"), path.join("mod.rs")];
    files.into_iter().filter(|file| file.is_file()).collect()
}

fn has_module(text: &str, module: &str) -> bool {
    text.lines().any(|line| line.trim().trim_start_matches("pub ").starts_with(&format!("mod {module} {{")))
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Runs,
    Ignored,
    NoTest,
    Absent,
}

/// The kind of the function of this name in a source text.
fn state(text: &str, name: &str) -> State {
    let (mut is_test, mut ignored, mut found) = (false, false, State::Absent);
    for line in text.lines().map(str::trim) {
        if line.starts_with("//") || line.is_empty() {
            continue;
        }
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            ignored |= line.starts_with("#[ignore");
            continue;
        }
        if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ")
            && rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '<']))
        {
            match (is_test, ignored) {
                (true, false) => return State::Runs,
                (true, true) => found = State::Ignored,
                (false, _) if found == State::Absent => found = State::NoTest,
                (false, _) => {}
            }
        }
        (is_test, ignored) = (false, false);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    #[test]
    fn a_function_is_a_test_when_it_says_so() {
        let text = "
            #[test]
            fn runs() {}
            fn helper() {}
            #[test]
            #[ignore = \"slow\"]
            fn asleep() {}
            // #[test]
            // fn gone() {}
            proptest! {
                #[test]
                fn of_a_property(n: u8) {}
            }
        ";
        for (name, expected) in [
            ("runs", State::Runs),
            ("run", State::Absent),
            ("helper", State::NoTest),
            ("asleep", State::Ignored),
            ("gone", State::Absent),
            ("of_a_property", State::Runs),
        ] {
            assert_eq!(state(text, name), expected, "{name}");
        }
    }

    #[test]
    fn tests_are_found_by_the_path_that_cargo_shows() {
        let found = |test| find(shell::root(), test);
        found("xtask::source::tests::tests_are_found_by_the_path_that_cargo_shows").unwrap();
        let place = found("core_wire::a_gap_in_the_sequence").unwrap();
        let target = ["--test", "core"].map(str::to_owned).to_vec();
        let (package, path) = ("flowxdp-tests".to_owned(), "core_wire::a_gap_in_the_sequence".to_owned());
        assert_eq!(place, Place { package, target, path });
        let place = found("flowxdp_core::books::tests::no_such_test");
        assert!(place.is_err());
        for test in [
            "xtask::source::tests::no_such_test",
            "xtask::source::tests::find",
            "xtask::no_such_module::a_function_is_a_test_when_it_says_so",
            "no_such_crate::a",
            "a",
        ] {
            assert!(found(test).is_err(), "{test}");
        }
    }
}
