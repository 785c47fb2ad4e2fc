//! One capture file: its octets, and the frames in it.

use super::Frame;

/// 14 November 2023, 22:13:20 UTC.
pub(super) const START: u64 = 1_700_000_000_000_000_000;

/// Between two frames that do not care: no multiple of a millisecond, but of a microsecond.
const STEP: u64 = 1_234_000;

/// A capture file of the catalogue.
#[derive(Clone, Debug)]
pub struct CaptureFile {
    /// Its name: NAME.pcap or NAME.pcapng.
    pub name: &'static str,
    /// Its octets.
    pub octets: Vec<u8>,
    /// The frames in it, in order; each has its time.
    pub frames: Vec<Frame>,
}

/// Gives a time to every frame that has none.
pub(super) fn timed(frames: Vec<Frame>) -> Vec<Frame> {
    let mut time = START;
    let set = |mut frame: Frame| {
        frame.time_ns.get_or_insert(time);
        time += STEP;
        frame
    };
    frames.into_iter().map(set).collect()
}

impl Frame {
    /// The capture time; a frame of a file always has one.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time_ns.unwrap_or(0)
    }
}
