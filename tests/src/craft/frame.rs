//! A frame as captured, and the verdict that it must get.

use super::{Ignored, Verdict, length32};

/// One captured frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The purpose of the frame.
    pub story: String,
    /// Capture time in nanoseconds since 1970; given by the file where a frame does not care.
    pub time_ns: Option<u64>,
    /// LINKTYPE value.
    pub link: u32,
    /// Octets on the wire, as the file has it.
    pub wire: u32,
    /// Captured octets.
    pub data: Vec<u8>,
    /// The verdict that it must get.
    pub verdict: Verdict,
    pub(super) needed: usize,
    pub(super) flags_end: Option<usize>,
}

impl Frame {
    /// A frame that is no IP packet, whatever `data` is.
    #[must_use]
    pub fn not_ip(link: u32, data: Vec<u8>) -> Self {
        Self::ignored_as(link, data, Ignored::NotIp)
    }

    /// A frame with a verdict of the caller's.
    #[must_use]
    pub fn ignored_as(link: u32, data: Vec<u8>, why: Ignored) -> Self {
        Self {
            story: String::new(),
            time_ns: None,
            link,
            wire: length32(data.len()),
            data,
            verdict: Verdict::Ignored(why),
            needed: 0,
            flags_end: None,
        }
    }

    /// Names the purpose of the frame.
    #[must_use]
    pub fn story(mut self, story: impl Into<String>) -> Self {
        self.story = story.into();
        self
    }

    /// Sets the capture time.
    #[must_use]
    pub fn at(mut self, time_ns: u64) -> Self {
        self.time_ns = Some(time_ns);
        self
    }

    /// Cuts the capture behind `captured` octets and leaves the wire length, as a snap length does.
    ///
    /// A metered frame becomes a truncated one where a header or the ports are gone, and loses
    /// its TCP flags where just they are.
    #[must_use]
    pub fn cut(mut self, captured: usize) -> Self {
        self.data.truncate(captured);
        if let Verdict::Metered(metered) = &mut self.verdict {
            if self.flags_end.is_some_and(|end| captured < end) {
                metered.tcp_flags = 0;
            }
            if captured < self.needed {
                self.verdict = Verdict::Ignored(Ignored::Truncated);
            }
        }
        self
    }

    /// Ends the frame behind `octets` octets on the wire too.
    #[must_use]
    pub fn short(mut self, octets: usize, why: Ignored) -> Self {
        self.data.truncate(octets);
        self.wire = length32(octets);
        self.ignored(why)
    }

    /// Sets the wire length, padding that was not captured included.
    #[must_use]
    pub fn wire(mut self, wire: u32) -> Self {
        self.wire = wire;
        self
    }

    /// Sets the octets that a metered packet counts.
    #[must_use]
    pub fn octets(mut self, octets: u32) -> Self {
        if let Verdict::Metered(metered) = &mut self.verdict {
            metered.octets = octets;
        }
        self
    }

    /// Pads the frame with zeros to `octets` octets.
    #[must_use]
    pub fn padded(mut self, octets: usize) -> Self {
        self.data.resize(octets, 0);
        self.wire = length32(octets);
        self
    }

    /// Says that the frame is not metered.
    #[must_use]
    pub fn ignored(mut self, why: Ignored) -> Self {
        self.verdict = Verdict::Ignored(why);
        self
    }
}
