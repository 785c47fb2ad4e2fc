//! Values as text and back: the form that flags and files share.

use std::{
    ffi::{OsStr, OsString},
    fmt::Display,
    path::PathBuf,
    time::Duration,
};

use super::choices::Choice;

/// The index of a text that is no value, and why.
pub type Refused = (usize, String);

/// A value that has a text.
pub trait Text {
    /// The text that makes this value again.
    fn text(&self) -> OsString;
}

macro_rules! displayed {
    ($($value:ty),+) => {
        $(impl Text for $value {
            fn text(&self) -> OsString {
                self.to_string().into()
            }
        })+
    };
}

displayed!(String, bool, u8, u16, u32, u64);

impl Text for PathBuf {
    fn text(&self) -> OsString {
        self.clone().into()
    }
}

impl<T: Choice> Text for T {
    fn text(&self) -> OsString {
        self.name().into()
    }
}

/// A fingerprint, SHA-256.
impl Text for [u8; 32] {
    fn text(&self) -> OsString {
        let digits: String = self.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("sha256:{digits}").into()
    }
}

impl Text for Duration {
    fn text(&self) -> OsString {
        duration(*self).into()
    }
}

/// A duration in the largest unit of which it is a multiple, from nanoseconds to seconds, and whole hours in hours.
pub fn duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    const UNITS: [(&str, u128); 5] =
        [("h", 3_600_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    let fits = |unit: &&(&str, u128)| nanoseconds > 0 && nanoseconds.is_multiple_of(unit.1);
    match UNITS.iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", nanoseconds / unit),
        None => "0s".to_owned(),
    }
}

/// Suffixes of a number that is a multiple of their value, the largest first.
type Suffixes = [(&'static str, u64); 3];

const DECIMAL: Suffixes = [("G", 1_000_000_000), ("M", 1_000_000), ("K", 1_000)];
const BINARY: Suffixes = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A count with a decimal suffix where one fits: 1M for 1000000.
pub fn count(digits: &str) -> String {
    suffixed(digits, &DECIMAL)
}

/// A size in octets with a binary suffix where one fits: 4MiB for 4194304.
pub fn size(digits: &str) -> String {
    suffixed(digits, &BINARY)
}

fn suffixed(digits: &str, suffixes: &Suffixes) -> String {
    let Ok(number) = digits.parse::<u64>() else { return digits.to_owned() };
    let fits = |suffix: &&(&str, u64)| number > 0 && number.is_multiple_of(suffix.1);
    match suffixes.iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", number / unit),
        None => digits.to_owned(),
    }
}

/// A value from a text that must be UTF-8.
pub(super) fn parsed<T, E: Display>(text: &OsStr, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, String> {
    let text = text.to_str().ok_or("it is not UTF-8")?;
    parse(text).map_err(|error| error.to_string())
}

/// A path; an empty one names no file.
pub(super) fn path(text: &OsStr) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("a path has at least one character".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// Puts the value of each text into `list`; gives the texts that are none.
pub(super) fn list<T>(
    list: &mut Vec<T>,
    texts: &[OsString],
    parse: impl Fn(&OsStr) -> Result<T, String>,
) -> Vec<Refused> {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        match parse(text) {
            Ok(value) => taken.push(value),
            Err(why) => refused.push((index, why)),
        }
    }
    *list = taken;
    refused
}

/// Puts the value of the last text into `place`; gives that text if it is none.
pub(super) fn last<T>(
    place: &mut T,
    texts: &[OsString],
    parse: impl Fn(&OsStr) -> Result<T, String>,
) -> Vec<Refused> {
    let Some(text) = texts.last() else { return Vec::new() };
    match parse(text) {
        Ok(value) => {
            *place = value;
            Vec::new()
        }
        Err(why) => vec![(texts.len() - 1, why)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units;
    use proptest::prelude::*;

    #[test]
    fn texts_are_short() {
        for text in ["24h", "60s", "15s", "90s", "200ms", "0s", "1us", "1ns", "36500000s"] {
            let value = units::duration(text).unwrap();
            assert_eq!(duration(value), if text == "36500000s" { "36500000s" } else { text });
        }
        assert_eq!(duration(Duration::from_secs(86_400)), "24h");
        assert_eq!(
            (count("1000000"), count("16000"), count("65536")),
            ("1M".into(), "16K".into(), "65536".into())
        );
        assert_eq!(
            (size("1073741824"), size("4194304"), size("0")),
            ("1GiB".into(), "4MiB".into(), "0".into())
        );
    }

    proptest! {
        #[test]
        fn texts_make_the_value_again(nanoseconds in 0..3_000_000_000_000_000_000_u64, number: u64, zeros in 0..20_u32) {
            let rounded = Duration::from_nanos(nanoseconds / 10_u64.pow(zeros % 16) * 10_u64.pow(zeros % 16));
            prop_assert_eq!(units::duration(&duration(rounded)), Ok(rounded));
            for number in [number, number >> zeros << zeros, number / 1_000 * 1_000] {
                prop_assert_eq!(units::count(&count(&number.to_string())), Ok(number));
                prop_assert_eq!(units::size(&size(&number.to_string())), Ok(number));
            }
        }
    }
}
