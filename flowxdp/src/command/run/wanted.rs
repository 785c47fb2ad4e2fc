//! A value of `--interface`: a name, or a pattern of names.

use crate::kernel::link::Link;

/// A name or a pattern; in a pattern `*` stands for any characters, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted(String);

impl Wanted {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text of the command line or the file.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can stand for more than one name.
    pub(super) fn is_pattern(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// Whether it stands for this link, by its name or an alternative one.
    pub(super) fn stands_for(&self, link: &Link) -> bool {
        link.names().any(|name| self.matches(name))
    }

    fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.chars().collect::<Vec<_>>(), name.chars().collect::<Vec<_>>());
        let (mut at, mut read) = (0, 0);
        // Behind the last star, and the characters it stands for so far: the match resumes there.
        let mut star = None;
        while read < name.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at + 1, read));
                    at += 1;
                }
                Some(&wanted) if wanted == '?' || wanted == name[read] => (at, read) = (at + 1, read + 1),
                _ => {
                    let Some((behind, taken)) = &mut star else { return false };
                    *taken += 1;
                    (at, read) = (*behind, *taken);
                }
            }
        }
        pattern[at..].iter().all(|&rest| rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn names_stand_for_themselves_and_patterns_for_many() {
        for (wanted, yes, no) in [
            ("eth0", &["eth0"][..], &["eth", "eth01", "xeth0", ""][..]),
            ("eth*", &["eth", "eth0", "eth0.100", "eth**"], &["et", "wan0", "xeth0"]),
            ("*", &["", "a", "wan0"], &[]),
            ("eth?", &["eth0", "ethä"], &["eth", "eth10"]),
            ("*.10?", &["eth0.100", "bond0.1.109", ".10."], &["eth0.10", "eth0.1000", "eth0"]),
            ("a*b*c", &["abc", "axbxbxc", "abbcc"], &["ab", "acb", "abcd"]),
            ("", &[""], &["a"]),
        ] {
            yes.iter().for_each(|name| assert!(Wanted::new(wanted).matches(name), "{wanted} {name}"));
            no.iter().for_each(|name| assert!(!Wanted::new(wanted).matches(name), "{wanted} {name}"));
        }
        assert!(!Wanted::new("eth0.1").is_pattern() && Wanted::new("eth?").is_pattern());
    }

    proptest::proptest! {
        /// A pattern made of a name, with any part of it replaced by a star, stands for it.
        #[test]
        fn a_star_stands_for_any_part(name in "[a-c]{0,8}", from in 0..9_usize, to in 0..9_usize) {
            let (from, to) = (from.min(name.len()), to.min(name.len()));
            let (from, to) = (from.min(to), from.max(to));
            let pattern = format!("{}*{}", &name[..from], &name[to..]);
            proptest::prop_assert!(Wanted::new(&pattern).matches(&name), "{pattern} {name}");
        }
    }
}
