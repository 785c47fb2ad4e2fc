//! An XDP program that is not FlowXDP's and passes every packet.
//!
//! Written as the smallest object file that `ip link set … xdp obj` takes, so that no compiler is needed.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::Netns;
use crate::process::Program;

/// `r0 = XDP_PASS; exit`.
const PROGRAM: [u8; 16] = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
const LICENCE: &[u8] = b"GPL\0";
/// Section and symbol names, each at the offset that the tables below give; the program's section comes last.
const NAMES: &[u8] = b"\0.strtab\0license\0.symtab\0foreign\0";
const SYMBOL_SIZE: usize = 24;

/// Attaches it to an interface.
pub fn attach(netns: &Netns, interface: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("foreign.o");
    std::fs::write(&file, object("xdp", &PROGRAM)?)?;
    netns.ip(&format!("link set dev {interface} xdp obj {} sec xdp", file.display()))?;
    Ok(())
}

/// Puts a netlink filter of its kind into the clsact qdisc of an interface, which must be there; the verdict is that
/// of the qdisc.
pub fn filter(netns: &Netns, interface: &str, direction: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("foreign.o");
    std::fs::write(&file, object("classifier", &PROGRAM)?)?;
    let words =
        format!("filter add dev {interface} {direction} prio 7 bpf obj {} sec classifier", file.display());
    let tc = Program::find("tc")?.args(words.split_whitespace()).netns(netns);
    tc.run(Duration::from_secs(10))?.success().with_context(|| words)?;
    Ok(())
}

/// Detaches the program on an interface.
pub fn detach(netns: &Netns, interface: &str) -> Result<()> {
    netns.ip(&format!("link set dev {interface} xdp off"))?;
    Ok(())
}

/// The object file of a program that is called `foreign`, in a section that names its type.
pub(crate) fn object(kind: &str, program: &[u8]) -> Result<Vec<u8>> {
    let names = [NAMES, kind.as_bytes(), b"\0"].concat();
    // A symbol table of two: the obligatory empty one, and a global function in section 2.
    let mut symbols = vec![0; SYMBOL_SIZE];
    symbols.extend(25_u32.to_ne_bytes());
    symbols.extend([0x12, 0, 2, 0]);
    symbols.extend(0_u64.to_ne_bytes());
    symbols.extend((program.len() as u64).to_ne_bytes());
    let bodies: [&[u8]; 4] = [&symbols, program, &names, LICENCE];
    let start: usize = bodies.iter().map(|body| body.len()).sum::<usize>().next_multiple_of(8) + 64;

    let mut object = b"\x7fELF\x02\x01\x01".to_vec();
    object.resize(16, 0);
    // A relocatable file for BPF, version 1, section headers at `start`, five of them, names in the first.
    for half in [1_u16, 247, 1, 0] {
        object.extend(half.to_ne_bytes());
    }
    for word in [0, 0, start as u64] {
        object.extend(word.to_ne_bytes());
    }
    object.extend([0; 4]);
    for half in [64_u16, 0, 0, 64, 5, 1] {
        object.extend(half.to_ne_bytes());
    }
    let mut offsets = Vec::new();
    for body in bodies {
        offsets.push(object.len() as u64);
        object.extend(body);
    }
    object.resize(start, 0);
    let [symbols_at, program_at, names_at, licence_at] = offsets.try_into().ok().context("four sections")?;
    object.extend([0; 64]);
    object.extend(section(1, 3, 0, names_at, names.len(), [0, 0, 1, 0]));
    object.extend(section(33, 1, 6, program_at, program.len(), [0, 0, 8, 0]));
    object.extend(section(9, 1, 3, licence_at, LICENCE.len(), [0, 0, 1, 0]));
    object.extend(section(17, 2, 0, symbols_at, 2 * SYMBOL_SIZE, [1, 1, 8, SYMBOL_SIZE as u64]));
    Ok(object)
}

/// A section header; `rest` is link, info, alignment and entry size.
fn section(name: u32, kind: u32, flags: u64, offset: u64, size: usize, rest: [u64; 4]) -> Vec<u8> {
    let [link, info, alignment, entry] = rest;
    let mut header = [name.to_ne_bytes(), kind.to_ne_bytes()].concat();
    for word in [flags, 0, offset, size as u64, info << 32 | link, alignment, entry] {
        header.extend(word.to_ne_bytes());
    }
    header
}
