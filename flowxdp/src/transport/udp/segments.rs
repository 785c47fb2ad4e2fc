//! Messages of one size that the kernel takes as one, and cuts apart where they leave (UDP_SEGMENT, Linux 4.18).

use super::BATCH;

/// Octets that the kernel takes as one send: an IPv6 packet's room behind a UDP header.
const MOST_OCTETS: usize = 65_487;

/// Messages of one system call, in groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Groups {
    /// The messages of each group.
    sizes: [usize; BATCH],
    count: usize,
    /// Octets of a message in the groups of several, the last one of a group apart; 0 if there is none.
    pub(super) segment: usize,
}

impl Groups {
    /// Groups of at most `most` messages, for as many of these as one system call takes.
    ///
    /// The kernel cuts whatever is longer than a segment, so one that stands alone and is longer waits for the
    /// next call, and so does a group of another size.
    pub(super) fn of(messages: &[&[u8]], most: usize) -> Self {
        let mut groups = Self { sizes: [0; BATCH], count: 0, segment: 0 };
        let (mut left, mut longest) = (messages, 0);
        for size in &mut groups.sizes {
            let [first, ..] = left else { break };
            let together = together(left, most);
            let fits = match (together, groups.segment) {
                (1, 0) => true,
                (1, segment) => first.len() <= segment,
                (_, 0) => longest <= first.len(),
                (_, segment) => first.len() == segment,
            };
            if !fits {
                break;
            }
            if together > 1 {
                groups.segment = first.len();
            }
            longest = longest.max(first.len());
            *size = together;
            groups.count += 1;
            left = left.get(together..).unwrap_or_default();
        }
        groups
    }

    /// The number of messages in each.
    pub(super) fn sizes(&self) -> &[usize] {
        self.sizes.get(..self.count).unwrap_or_default()
    }
}

/// How many messages, from the first on, the kernel cuts apart again as they are: of one size, the last one
/// perhaps smaller.
fn together(messages: &[&[u8]], most: usize) -> usize {
    let (mut count, mut octets) = (0, 0);
    let segment = messages.first().map_or(0, |first| first.len());
    for message in messages.iter().take(most.max(1)) {
        octets += message.len();
        if count > 0 && (message.len() > segment || message.is_empty() || octets > MOST_OCTETS) {
            break;
        }
        count += 1;
        if message.len() < segment {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(lengths: &[usize], most: usize) -> (Vec<usize>, usize) {
        let octets = [0; 70_000];
        let messages: Vec<&[u8]> = lengths.iter().map(|&length| &octets[..length]).collect();
        let groups = Groups::of(&messages, most);
        (groups.sizes().to_vec(), groups.segment)
    }

    #[test]
    fn messages_of_one_size_go_together_and_a_smaller_one_ends_them() {
        assert_eq!(groups(&[900, 900, 900, 100, 900], 16), (vec![4, 1], 900));
        assert_eq!(groups(&[900; 5], 2), (vec![2, 2, 1], 900));
        assert_eq!(groups(&[900, 900, 100, 100], 16), (vec![3, 1], 900));
        assert_eq!(groups(&[], 16), (vec![], 0));
    }

    #[test]
    fn what_the_kernel_would_cut_elsewhere_waits_for_the_next_call() {
        assert_eq!(groups(&[900, 900, 1000], 16), (vec![2], 900));
        assert_eq!(groups(&[1000, 900, 900], 16), (vec![2, 1], 1000));
        assert_eq!(groups(&[1000, 500, 900, 900], 16), (vec![2], 1000));
        assert_eq!(groups(&[900, 900, 700, 700, 700], 2), (vec![2], 900));
        assert_eq!(groups(&[10, 900, 900], 16), (vec![1, 2], 900));
    }

    #[test]
    fn by_themselves_they_are_as_they_come() {
        assert_eq!(groups(&[900, 900, 1000, 5], 1), (vec![1; 4], 0));
        assert_eq!(groups(&[30_000; 3], 16), (vec![2, 1], 30_000));
        assert_eq!(groups(&[60_000, 60_000], 16), (vec![1, 1], 0));
        assert_eq!(groups(&[9; 40], 1).0.len(), BATCH);
    }
}
