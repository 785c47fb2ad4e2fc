//! A pinned table that drains, read by its generation's descriptor.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use aya::maps::MapData;
use bytemuck::Zeroable;
use flowxdp_common::{
    field::{self, ColdRow, Groups, WIDEST},
    names,
    slot::SpillSlot,
    table::{COLD_ROOM, Fields, NONE},
};
use flowxdp_core::{
    metering::other_layout,
    metering::retire::{Peek, Table},
};

use super::{cold::ColdSlots, map::Mapped, pin::Generation};

/// Octets of a slot at most.
const MOST: usize = 256;

/// Slots of any layout.
#[derive(Debug)]
pub struct OtherLayout {
    words: Mapped<u64>,
    fields: Fields,
    slots: usize,
    cold: Option<Cold>,
}

/// Cold slots of any layout.
#[derive(Debug)]
struct Cold {
    slots: ColdSlots,
    places: [u16; COLD_ROOM],
    /// The groups whose layout is asked for.
    to: Groups,
}

impl OtherLayout {
    /// Maps the table of this name.
    ///
    /// # Errors
    ///
    /// Its pin is gone, or the map does not fit its generation's descriptor.
    pub fn open(generation: &Generation, name: &str, fields: &Fields) -> anyhow::Result<Self> {
        let path = generation.directory.join(name);
        let map = MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let (whole, slots) = (map.info()?.value_size() as usize, map.info()?.max_entries() as usize);
        let state = usize::from(fields.state);
        let words = whole == usize::from(fields.whole) && whole.is_multiple_of(8) && whole <= MOST;
        ensure!(
            words && fields.state != NONE && state.is_multiple_of(4) && state + 4 <= whole,
            "{} has slots of {whole} octets, which cannot be read: let the version that made it empty it, or \
             remove it with `flowxdp detach --pin`",
            path.display()
        );
        let words = Mapped::new(map.fd(), slots * whole / 8)
            .with_context(|| format!("cannot map {}", path.display()))?;
        Ok(Self { words, fields: *fields, slots, cold: None })
    }

    /// Maps the cold slots too, where there are any, to be read in the layout of `groups`.
    ///
    /// # Errors
    ///
    /// As of [`OtherLayout::open`].
    pub fn with_cold(mut self, generation: &Generation, name: &str, groups: Groups) -> anyhow::Result<Self> {
        self.read_cold(generation, name, groups)?;
        Ok(self)
    }

    /// Reads cold slots in the layout of other `groups` from now on.
    ///
    /// # Errors
    ///
    /// As of [`OtherLayout::open`].
    pub fn read_cold(&mut self, generation: &Generation, name: &str, groups: Groups) -> anyhow::Result<()> {
        self.cold = match names::cold_of(name) {
            Some(name) if generation.descriptor.groups != 0 && field::width(groups) > 0 => Some(Cold {
                slots: cold_slots(generation, name, self.slots)?,
                places: generation.descriptor.cold,
                to: groups,
            }),
            _ => None,
        };
        Ok(())
    }

    /// Only this agent writes here: no program refers to the table any more.
    fn state_word(&self, index: usize) -> &AtomicU32 {
        let words = usize::from(self.fields.whole) / 8;
        let state = usize::from(self.fields.state);
        self.words.word(index * words + state / 8, state % 8)
    }
}

/// Maps the cold slots of a generation's table with so many slots.
///
/// # Errors
///
/// Their pin is gone, or they are wider than any that can be read.
pub(super) fn cold_slots(generation: &Generation, name: &str, slots: usize) -> anyhow::Result<ColdSlots> {
    let path = generation.directory.join(name);
    let map = MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let words = map.info()?.max_entries() as usize;
    let each = words / slots.max(1);
    ensure!(
        map.info()?.value_size() == 8 && each * 8 <= WIDEST,
        "{} has cold slots of {} octets, which cannot be read: let the version that made it empty it, or remove \
         it with `flowxdp detach --pin`",
        path.display(),
        each * 8
    );
    let words = Mapped::new(map.fd(), words).with_context(|| format!("cannot map {}", path.display()))?;
    Ok(ColdSlots::with_words(words, each))
}

impl Table for OtherLayout {
    type Slot = SpillSlot;

    fn len(&self) -> usize {
        self.slots
    }

    fn state(&self, index: usize) -> u32 {
        self.state_word(index).load(Ordering::Acquire)
    }

    fn peek(&self, index: usize) -> Peek {
        let slot = self.copy(index);
        Peek { first: slot.first, last: slot.last, tcp_flags: slot.tcp_flags }
    }

    fn copy(&self, index: usize) -> SpillSlot {
        let words = usize::from(self.fields.whole) / 8;
        let mut octets = <[u64; MOST / 8]>::zeroed();
        for (at, place) in octets.iter_mut().take(words).enumerate() {
            *place = self.words.read(index * words + at);
        }
        let octets: &[u8] = bytemuck::cast_slice(&octets);
        other_layout::slot(&self.fields, octets.get(..words * 8).unwrap_or_default())
    }

    fn cold<'row>(&self, index: usize, row: &'row mut ColdRow) -> &'row [u8] {
        let Some(cold) = &self.cold else { return &[] };
        let mut there = [0; WIDEST];
        *row = field::convert(&cold.places, cold.slots.read(index, &mut there), cold.to);
        row.get(..field::width(cold.to)).unwrap_or_default()
    }

    fn set_state(&mut self, index: usize, state: u32) {
        self.state_word(index).store(state, Ordering::Release);
    }
}
