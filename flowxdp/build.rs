//! Compiles the metering program and the programs of `explain` with the same compiler, and leaves the objects where
//! `kernel` embeds them.

#[path = "../flowxdp-ebpf/object.rs"]
mod object;

fn main() -> anyhow::Result<()> {
    object::build(&[], &["meter"])?;
    object::build(&["explain"], &["explain"])
}
