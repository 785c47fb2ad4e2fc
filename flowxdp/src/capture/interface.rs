//! One interface of a pcapng section: its link type, snap length and clock.

use std::io::Read;

use super::source::Source;
use super::{Fault, in_range};

const END_OF_OPTIONS: u16 = 0;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

const NANOSECONDS: i128 = 1_000_000_000;

/// The fields of an Interface Description Block.
pub(super) struct Interface {
    /// LINKTYPE value.
    pub(super) link: u32,
    /// Most octets captured of a packet; 0 is no limit.
    pub(super) snap: u32,
    /// Ticks of the clock in a second; `None` when there are more than 10^38.
    per_second: Option<u128>,
    /// Seconds to add to a time.
    offset: i64,
}

impl Interface {
    /// Reads the `body` octets of an Interface Description Block.
    pub(super) fn read<R: Read>(source: &mut Source<R>, body: u32) -> Result<Self, Fault> {
        let mut rest =
            body.checked_sub(8).ok_or(Fault::Block("an interface description too short for its fields"))?;
        let link = u32::from(source.u16()?);
        source.skip(2)?;
        let snap = source.u32()?;
        let mut interface = Self { link, snap, per_second: Some(1_000_000), offset: 0 };
        while rest >= 4 {
            let (code, length) = (source.u16()?, u32::from(source.u16()?));
            rest -= 4;
            if code == END_OF_OPTIONS {
                break;
            }
            let padded = length.next_multiple_of(4);
            rest = rest.checked_sub(padded).ok_or(Fault::Block("an option longer than its block"))?;
            interface.option(source, code, length)?;
            source.skip(padded - length)?;
        }
        source.skip(rest)?;
        Ok(interface)
    }

    /// Reads the value of one option.
    fn option<R: Read>(&mut self, source: &mut Source<R>, code: u16, length: u32) -> Result<(), Fault> {
        match (code, length) {
            (IF_TSRESOL, 1..) => {
                let [resolution] = source.octets()?;
                let exponent = u32::from(resolution & 0x7f);
                let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
                self.per_second = base.checked_pow(exponent);
                source.skip(length - 1)
            }
            (IF_TSOFFSET, 8) => {
                let octets = source.octets()?;
                self.offset = source.order.i64(octets);
                Ok(())
            }
            _ => source.skip(length),
        }
    }

    /// The time of `ticks` of this interface's clock, in nanoseconds since 1970, rounded down; `None` out of
    /// range.
    pub(super) fn nanoseconds(&self, ticks: u64) -> Option<u64> {
        // A clock of more than 10^38 ticks a second has not reached one nanosecond in 64 bits.
        let since = self.per_second.map_or(0, |per_second| u128::from(ticks) * 1_000_000_000 / per_second);
        let time = i128::try_from(since).ok()?.checked_add(i128::from(self.offset) * NANOSECONDS)?;
        in_range(u64::try_from(time).ok()?)
    }
}
