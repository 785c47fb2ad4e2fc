//! What the shipped program is to the verifier, and the stack that it uses.

use anyhow::{Context, Result};
use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use flowxdp::kernel::load;
use flowxdp_common::names;

use crate::subject::{Load, shape};

/// Size and effort of one program.
pub(crate) struct Cost {
    /// Its name.
    pub(crate) name: &'static str,
    /// Instructions that the verifier went through, every way counted.
    pub(crate) verified: u32,
    /// Octets of the translated program.
    pub(crate) translated: u32,
    /// Octets of machine code.
    pub(crate) jitted: u32,
    /// Octets of stack: the largest of its functions, which follow one another and do not call each other.
    pub(crate) stack: u32,
}

/// Both programs of the object that the agent embeds.
pub(crate) fn of_shipped() -> Result<Vec<Cost>> {
    let object = Object::parse(load::OBJECT)?;
    let mut loaded = load::load(&shape(Load { flows: 1, table: 1_000, ipv6: false, apart: false }))?;
    [names::PROGRAM, names::PROGRAM_FRAGS]
        .into_iter()
        .map(|name| {
            let info = loaded.program(name)?.info()?;
            Ok(Cost {
                name,
                verified: info.verified_instruction_count().context("a kernel before 5.16")?,
                translated: info.size_translated().context("no translated program")?,
                jitted: info.size_jitted(),
                stack: stack(&object, name)?,
            })
        })
        .collect()
}

/// The frame of a program's function, and of the largest that it calls.
fn stack(object: &Object, name: &str) -> Result<u32> {
    let program = object.programs.get(name).with_context(|| format!("no program {name}"))?;
    let own = object.functions.get(&program.function_key()).context("no code")?;
    let has_calls = own.instructions.iter().any(|insn| insn.code == CALL && insn.src_reg() == PSEUDO_CALL);
    let called = object.functions.values().filter(|other| has_calls && other.name != own.name);
    let called = called
        .filter(|function| !object.programs.contains_key(&function.name))
        .map(|function| frame(&function.instructions))
        .max();
    Ok(frame(&own.instructions) + called.unwrap_or(0))
}

const CALL: u8 = 0x85;
const PSEUDO_CALL: u8 = 1;
/// Class bits of an instruction: loads, stores of numbers, stores of registers.
const CLASS: u8 = 0x07;
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
/// `dst = src` and `dst += number`, 64 bits.
const MOV: u8 = 0xbf;
const ADD: u8 = 0x07;
/// The register that points at the end of the stack.
const FRAME: u8 = 10;

/// The lowest address below the frame pointer that a function reads, writes or hands to a helper.
fn frame(instructions: &[bpf_insn]) -> u32 {
    let direct = instructions.iter().filter_map(|insn| match insn.code & CLASS {
        LDX if insn.src_reg() == FRAME => Some(i32::from(insn.off)),
        ST | STX if insn.dst_reg() == FRAME => Some(i32::from(insn.off)),
        _ => None,
    });
    let derived = instructions.windows(2).filter_map(|pair| match pair {
        [copy, add] if copy.code == MOV && copy.src_reg() == FRAME && add.code == ADD => Some(add.imm),
        _ => None,
    });
    direct.chain(derived).min().map_or(0, |lowest| lowest.unsigned_abs().next_multiple_of(8))
}
