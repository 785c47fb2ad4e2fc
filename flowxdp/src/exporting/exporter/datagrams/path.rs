//! The path MTU of a collector, for as long as the agent lives.
//!
//! The kernel forgets a path MTU after a while (10 minutes), and a datagram of the old size is lost then to
//! find it anew. So the smallest MTU learned stays valid, and a larger one is tried with messages that may be
//! lost: the larger one becomes valid once no router refused them.

use std::net::IpAddr;

use flowxdp_core::clock::{AgentTime, SECOND};

/// The smallest path MTU that is believed: the kernel's for IPv4 (`net.ipv4.route.min_pmtu`), and RFC 8200's.
const LEAST_V4: usize = 552;
const LEAST_V6: usize = 1280;

/// A message that tries a larger size is refused within this time, nanoseconds.
const JUDGED: u64 = 2 * SECOND;

/// The same size is tried again after so long, where the kernel does not remember the refusal (RFC 1191
/// section 6.3), nanoseconds.
const AGAIN: u64 = 600 * SECOND;

/// See the [module](self). All sizes are those of packets, octets.
#[derive(Debug, Default)]
pub(super) struct PathMtu {
    address: Option<IpAddr>,
    /// The kernel's path MTU, by the last query.
    kernel: usize,
    /// The size that holds.
    size: usize,
    /// A larger one, which is being tried, and until when it can be refused.
    trying: Option<(usize, AgentTime)>,
    /// A larger one that was refused, and when it may be tried again.
    refused: Option<(usize, AgentTime)>,
}

impl PathMtu {
    /// The collector is at this address: another one's path is another.
    pub(super) fn at(&mut self, address: IpAddr) {
        if self.address != Some(address) {
            *self = Self { address: Some(address), size: usize::MAX, ..Self::default() };
        }
    }

    fn least(&self) -> usize {
        if self.address.is_some_and(|address| address.is_ipv6()) { LEAST_V6 } else { LEAST_V4 }
    }

    /// A path MTU that an ICMP message names, as far as it can be: no packet of the least size is refused.
    pub(super) fn believed(&self, mtu: usize) -> usize {
        mtu.max(self.least())
    }

    /// The size that holds, where the kernel knows of `kernel`.
    pub(super) fn size(&mut self, kernel: usize, real: AgentTime) -> usize {
        if let Some((size, until)) = self.trying
            && real >= until
        {
            self.trying = None;
            self.size = size;
        }
        self.kernel = kernel;
        self.shrink(kernel);
        self.size
    }

    fn shrink(&mut self, size: usize) {
        let size = self.believed(size);
        if self.trying.is_some_and(|(trying, _)| trying > size) {
            self.trying = None;
        }
        if self.refused.is_some_and(|(refused, _)| size < refused) {
            // The kernel has learned of the refusal, and remembers it for a while.
            self.refused = None;
        }
        self.size = self.size.min(size);
    }

    /// Whether a packet of this size tried a larger size.
    pub(super) fn is_trying(&self, packet: usize) -> bool {
        self.trying.is_some_and(|(trying, _)| packet > self.size && packet <= trying)
    }

    /// A router takes packets of `mtu` octets at most, and refused one of `packet` octets. Gives whether that
    /// is news.
    pub(super) fn refused(&mut self, packet: usize, mtu: usize, real: AgentTime) -> bool {
        let before = self.size;
        if self.trying.is_some_and(|(trying, _)| trying >= packet) {
            self.trying = None;
        }
        self.refused = Some((packet, real.after(AGAIN)));
        self.size = self.size.min(self.believed(mtu));
        self.size < before
    }

    /// A larger size to try now.
    pub(super) fn larger(&self, real: AgentTime) -> Option<usize> {
        let may = self.refused.is_none_or(|(size, at)| self.kernel < size || real >= at);
        (self.kernel > self.size && self.trying.is_none() && may).then_some(self.kernel)
    }

    /// A message of this size, or a few octets less, tries it.
    pub(super) fn trying(&mut self, size: usize, real: AgentTime) {
        self.trying = Some((size, real.after(JUDGED)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    const fn at(nanoseconds: u64) -> AgentTime {
        AgentTime::new(nanoseconds)
    }

    fn path(kernel: usize) -> PathMtu {
        let mut path = PathMtu::default();
        path.at(V4);
        assert_eq!(path.size(kernel, at(0)), kernel);
        path
    }

    #[test]
    fn what_the_kernel_forgets_is_kept_until_a_larger_size_was_not_refused() {
        let mut path = path(1_500);
        assert!(path.refused(1_500, 1_280, at(0)));
        assert_eq!(path.size(1_280, at(0)), 1_280);
        assert_eq!(path.larger(at(0)), None);
        // The kernel forgot it.
        assert_eq!(path.size(1_500, at(SECOND)), 1_280);
        assert_eq!(path.larger(at(SECOND)), Some(1_500));
        path.trying(1_500, at(SECOND));
        assert_eq!((path.size(1_500, at(2 * SECOND)), path.larger(at(2 * SECOND))), (1_280, None));
        assert!(!path.refused(1_500, 1_280, at(2 * SECOND)));
        // The kernel learns the MTU again, forgets it again, and the path is wider now.
        assert_eq!(path.size(1_280, at(2 * SECOND)), 1_280);
        assert_eq!((path.size(1_500, at(9 * SECOND)), path.larger(at(9 * SECOND))), (1_280, Some(1_500)));
        path.trying(1_500, at(9 * SECOND));
        assert_eq!((path.size(1_500, at(11 * SECOND)), path.larger(at(11 * SECOND))), (1_500, None));
    }

    #[test]
    fn a_kernel_that_learns_nothing_is_asked_again_after_ten_minutes() {
        let mut path = path(1_500);
        path.refused(1_500, 1_280, at(0));
        assert_eq!((path.size(1_500, at(0)), path.larger(at(SECOND))), (1_280, None));
        assert_eq!(path.larger(at(AGAIN)), Some(1_500));
    }

    #[test]
    fn a_path_that_is_somewhat_wider_is_found() {
        let mut path = path(1_280);
        path.trying(1_500, at(0));
        path.refused(1_500, 1_400, at(1));
        assert_eq!((path.size(1_400, at(1)), path.larger(at(1))), (1_280, Some(1_400)));
    }

    #[test]
    fn no_size_is_absurd() {
        for (address, least) in [(V4, 552), (IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 1_280)] {
            for mtu in [0, 68] {
                let mut path = PathMtu::default();
                path.at(address);
                path.size(1_500, at(0));
                assert!(path.refused(1_500, mtu, at(0)));
                assert_eq!(path.size(1_500, at(0)), least);
            }
        }
    }

    #[test]
    fn another_address_starts_anew_and_the_same_does_not() {
        let mut path = path(1_300);
        path.at(V4);
        assert_eq!(path.size(1_500, at(0)), 1_300);
        path.at([192, 0, 2, 2].into());
        assert_eq!(path.size(1_500, at(0)), 1_500);
    }
}
