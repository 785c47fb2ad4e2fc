//! Compiles the XDP program with the same compiler and leaves the object where `kernel::load` embeds it.

#[path = "../flowxdp-ebpf/object.rs"]
mod object;

fn main() -> anyhow::Result<()> {
    object::build(&[], &["flowxdp"])
}
