//! Compiles the programs for tests and benchmarks, when the feature `lab` asks for them.

#[path = "../flowxdp-ebpf/object.rs"]
mod object;

fn main() -> anyhow::Result<()> {
    if std::env::var_os("CARGO_FEATURE_LAB").is_none() {
        println!("cargo::rerun-if-changed=build.rs");
        return Ok(());
    }
    object::build(&["slow"], &["meter"])?;
    object::build(&["lab"], &["lab_floor", "lab_parse", "lab_peers", "lab_send", "lab_vary", "lab_verdict"])
}
