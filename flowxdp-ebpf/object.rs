//! Compiles programs of this crate for BPF: a part of the build scripts of the crates that embed them.
//!
//! aya-build is not used, since it has no option for the instruction set (`v3`, Linux 5.12) that the
//! program's atomic exchange needs.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, bail};

const TARGET: &str = "bpfel-unknown-none";

/// Leaves the objects of `programs` in `OUT_DIR`, under the programs' names.
pub(crate) fn build(features: &[&str], programs: &[&str]) -> anyhow::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR")?);
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let root = manifest.join("..");
    for source in ["flowxdp-ebpf", "flowxdp-common", "Cargo.lock"] {
        writeln!(io::stdout(), "cargo::rerun-if-changed={}", root.join(source).display())?;
    }
    if Command::new("bpf-linker").arg("--version").output().is_err() {
        bail!(
            "bpf-linker is not installed: run `cargo xtask build`, or `cargo install bpf-linker --version 0.10.3 --locked`"
        );
    }
    let flags = [
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
    ];
    let target_dir = out.join("ebpf");
    let output = Command::new(env::var_os("CARGO").context("CARGO")?)
        .current_dir(&root)
        .args(["build", "--package", "flowxdp-ebpf", "--release", "--locked"])
        .args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        .args(features.iter().flat_map(|feature| ["--features", feature]))
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        // The agent's release has overflow checks; a check here would be a jump to a panic for each addition,
        // and no packet's octets come near the end of a counter.
        .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "false")
        // One pinned stable compiler for everything: build-std is the one unstable thing that BPF needs.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTC")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()
        .context("cannot start cargo for the XDP programs")?;
    if !output.status.success() {
        bail!("the XDP programs do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    for program in programs {
        let object = target_dir.join(TARGET).join("release").join(program);
        std::fs::copy(&object, out.join(program)).with_context(|| object.display().to_string())?;
    }
    Ok(())
}
