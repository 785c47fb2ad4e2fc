//! The ring buffer of first packets, and the program's counters of them.

use aya::maps::{MapData, RingBuf};
use bytemuck::Zeroable;
use flowxdp_common::{
    copy::{Copied, CopyState, MAGIC},
    reason::SKIPPED,
};
use flowxdp_core::record::Total;

use super::{counters::total, map::Mapped};

/// Copies of one program's first packets, read in the order in which they came.
pub struct Copies {
    buffer: RingBuf<MapData>,
    copiers: Mapped<CopyState>,
}

/// The program's counters, over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Packets that the inspector was to have.
    pub offered: Total,
    /// Of those, packets that were not copied, by [`SKIPPED`].
    pub skipped: [Total; SKIPPED.len()],
}

impl std::ops::AddAssign for Offered {
    fn add_assign(&mut self, other: Self) {
        self.offered += other.offered;
        self.skipped.iter_mut().zip(other.skipped).for_each(|(sum, more)| *sum += more);
    }
}

impl Copies {
    /// The ring buffer and the mapped counters of one program.
    pub(super) const fn new(buffer: RingBuf<MapData>, copiers: Mapped<CopyState>) -> Self {
        Self { buffer, copiers }
    }

    /// Hands at most `most` copies to `sink`; gives their number, fewer where none is left.
    pub fn take(&mut self, most: usize, mut sink: impl FnMut(&Copied, &[u8])) -> usize {
        let mut taken = 0;
        while taken < most
            && let Some(entry) = self.buffer.next()
        {
            match read(&entry) {
                Some((header, frame)) => sink(&header, frame),
                None => log::error!(
                    "the ring buffer of copies holds an entry of {} octets that is none",
                    entry.len()
                ),
            }
            taken += 1;
        }
        taken
    }

    /// The counters so far. Reasons are read first, as a packet is offered before it is skipped.
    pub fn offered(&self) -> Offered {
        let mut sum = Offered::default();
        for cpu in 0..self.copiers.len() {
            let skipped = self.copiers.read(cpu).skipped;
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
            let offered = self.copiers.read(cpu).offered;
            sum += Offered { offered: total(offered), skipped: skipped.map(total) };
        }
        sum
    }
}

/// The header and the frame of an entry, where the entry is as the program writes it.
fn read(entry: &[u8]) -> Option<(Copied, &[u8])> {
    let (header, rest) = entry.split_at_checked(size_of::<Copied>())?;
    let mut copied = Copied::zeroed();
    bytemuck::bytes_of_mut(&mut copied).copy_from_slice(header);
    let captured = usize::try_from(copied.captured).ok()?;
    (copied.magic == MAGIC && copied.captured <= copied.wire).then_some(())?;
    Some((copied, rest.get(..captured)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_long_as_its_header_says_or_it_is_none() {
        let header = Copied { magic: MAGIC, ingress: 3, wire: 90, captured: 4, time: 7 };
        let entry = |header: Copied, rest: &[u8]| [bytemuck::bytes_of(&header), rest].concat();
        assert_eq!(read(&entry(header, b"abcdrest")), Some((header, b"abcd".as_slice())));
        for entry in [
            entry(header, b"abc"),
            entry(Copied { magic: 0, ..header }, b"abcd"),
            entry(Copied { wire: 3, ..header }, b"abcd"),
            entry(Copied { captured: u32::MAX, ..header }, b"abcd"),
            b"short".to_vec(),
        ] {
            assert_eq!(read(&entry), None, "{entry:?}");
        }
    }
}
