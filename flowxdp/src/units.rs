//! Durations, counts and sizes with units: parsers for the command line.

use std::time::Duration;

/// The longest duration that is taken: a century. Nanoseconds of it fit a `u64` five times over.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// The number that `1T` stands for.
const TERA: u64 = 1_000_000_000_000;

/// Flows that no machine has the memory for: slots and octets of more would not fit a `u64`.
const MOST_FLOWS: u64 = TERA;

/// Suffixes of counts and sizes, with their factors.
const SUFFIXES: [(&str, u64); 9] = [
    ("", 1),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("t", TERA),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
];

/// The reason why a text is no duration, count or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration at all.
    #[error("\"{text}\" is not a duration ({why}): write it like 500ms, 15s, 1m or 2h")]
    Duration {
        /// The typed text.
        text: String,
        /// The fault.
        why: String,
    },
    /// Not a count at all.
    #[error("\"{text}\" is not a count: write it like 5000, 64K (64,000), 1M (10^6), 1G or 64Ki (65,536)")]
    Count {
        /// The typed text.
        text: String,
    },
    /// Not a size at all.
    #[error("\"{text}\" is not a size in octets: write it like 4096, 64KiB, 16MiB, 1GiB or 1M (10^6)")]
    Size {
        /// The typed text.
        text: String,
    },
    /// More than can be counted.
    #[error("\"{text}\" is too large: at most {largest}")]
    TooLarge {
        /// The typed text.
        text: String,
        /// The largest value that is taken.
        largest: String,
    },
    /// Zero where the value must be positive.
    #[error("\"{text}\" is zero: it must be more, like {example}")]
    Zero {
        /// The typed text.
        text: String,
        /// A value that would do.
        example: &'static str,
    },
}

/// A duration with a unit: `500ms`, `15s`, `1m`, `2h`, `1m 30s`; `0` needs none.
///
/// # Errors
/// When a unit is missing or unknown, or the duration is longer than a century.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = |why: String| UnitError::Duration { text: text.to_owned(), why };
    // humantime takes M as a month, and an operator may mean a minute.
    if text.contains('M') {
        return Err(wrong("M could be a month, minutes are m".to_owned()));
    }
    let duration = humantime::parse_duration(text).map_err(|error| wrong(error.to_string()))?;
    if duration > LONGEST {
        return Err(UnitError::TooLarge { text: text.to_owned(), largest: "36500d".to_owned() });
    }
    Ok(duration)
}

/// A [`duration`] of more than zero.
///
/// # Errors
/// Those of [`duration`], and zero.
pub fn positive_duration(text: &str) -> Result<Duration, UnitError> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return Err(UnitError::Zero { text: text.to_owned(), example: "1s" });
    }
    Ok(duration)
}

/// A count: `5000`, `64K` = 64,000, `1M` = 10^6, `1G`, `1T`; `64Ki` = 65,536 and so on.
///
/// # Errors
/// When the text is anything else, or more than a `u64` holds.
pub fn count(text: &str) -> Result<u64, UnitError> {
    scaled(text, text).unwrap_or_else(|| Err(UnitError::Count { text: text.to_owned() }))
}

/// A [`count`] of at least one.
///
/// # Errors
/// Those of [`count`], and zero.
pub fn positive_count(text: &str) -> Result<u64, UnitError> {
    match count(text)? {
        0 => Err(UnitError::Zero { text: text.to_owned(), example: "1M" }),
        count => Ok(count),
    }
}

/// A [`count`] of flows that a table may hold: at least one, and at most [`MOST_FLOWS`].
///
/// # Errors
/// Those of [`count`], zero, and more.
pub fn flows(text: &str) -> Result<u64, UnitError> {
    match positive_count(text)? {
        flows if flows <= MOST_FLOWS => Ok(flows),
        _ => Err(UnitError::TooLarge { text: text.to_owned(), largest: format!("{}T", MOST_FLOWS / TERA) }),
    }
}

/// A number of 32 bits in decimal digits, without a sign; `None` for anything else.
pub fn number(text: &str) -> Option<u32> {
    Some(text).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()))?.parse().ok()
}

/// A [`size`] of at least one octet.
///
/// # Errors
/// Those of [`size`], and zero.
pub fn positive_size(text: &str) -> Result<u64, UnitError> {
    match size(text)? {
        0 => Err(UnitError::Zero { text: text.to_owned(), example: "1GiB" }),
        size => Ok(size),
    }
}

/// A size in octets: the forms of [`count`], with or without a `B`: `1GiB`, `64KiB`, `1MB` = 10^6.
///
/// # Errors
/// When the text is anything else, or more than a `u64` holds.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let number = text.strip_suffix(['B', 'b']).unwrap_or(text);
    scaled(text, number).unwrap_or_else(|| Err(UnitError::Size { text: text.to_owned() }))
}

/// Digits and one of [`SUFFIXES`], in either case; `None` when `number` is anything else.
fn scaled(text: &str, number: &str) -> Option<Result<u64, UnitError>> {
    let number = number.trim();
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (digits, suffix) = number.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let (_, factor) = SUFFIXES.iter().find(|(name, _)| *name == suffix)?;
    let value = digits.parse::<u64>().ok().and_then(|digits| digits.checked_mul(*factor));
    Some(value.ok_or_else(|| UnitError::TooLarge { text: text.to_owned(), largest: u64::MAX.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("36500d"), Ok(LONGEST));
    }

    #[test]
    fn bad_durations_say_what_to_write() {
        for text in ["", "15", "s", "-1s", "1.5.s", "15 fortnights", "1M", "99999999999999999999s", "٣s"] {
            let error = duration(text).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{text}\"")) && error.contains("15s"), "{error}");
        }
        assert_eq!(duration("36501d").unwrap_err().to_string(), "\"36501d\" is too large: at most 36500d");
        assert_eq!(
            positive_duration("0s").unwrap_err().to_string(),
            "\"0s\" is zero: it must be more, like 1s"
        );
    }

    #[test]
    fn counts_are_decimal_unless_they_say_so() {
        assert_eq!(count("0"), Ok(0));
        assert_eq!(count("5000"), Ok(5000));
        assert_eq!(count("64K"), Ok(64_000));
        assert_eq!(count("64k"), Ok(64_000));
        assert_eq!(count("1M"), Ok(1_000_000));
        assert_eq!(count("1G"), Ok(1_000_000_000));
        assert_eq!(count("64Ki"), Ok(65_536));
        assert_eq!(count("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn sizes_are_octets() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("1MB"), Ok(1_000_000));
        assert_eq!(size("1M"), Ok(1_000_000));
        assert_eq!(size("10B"), Ok(10));
    }

    #[test]
    fn bad_counts_say_what_to_write() {
        for text in ["", "K", "-1", "+1", "1.5M", "1X", "1MiB", "1 000", "0x10", "é"] {
            let error = count(text).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{text}\"")) && error.contains("64K"), "{error}");
        }
        for text in ["", "B", "GiB", "1GiBB", "-1KiB"] {
            let error = size(text).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{text}\"")) && error.contains("64KiB"), "{error}");
        }
        for text in ["18446744073709551616", "18446744073709552K", "99999999T"] {
            assert!(matches!(count(text), Err(UnitError::TooLarge { .. })), "{text}");
        }
        assert!(matches!(positive_count("0K"), Err(UnitError::Zero { .. })));
        assert!(matches!(positive_size("0MiB"), Err(UnitError::Zero { .. })));
        assert_eq!(positive_size("1"), Ok(1));
        assert!(matches!(flows("0"), Err(UnitError::Zero { .. })));
        assert_eq!((flows("1T"), flows("1")), (Ok(TERA), Ok(1)));
        // A quarter more than this number wraps around to 4.
        for text in ["14757395258967641293", "1001G", "18446744073709551615"] {
            let error = flows(text).unwrap_err().to_string();
            assert_eq!(error, format!("\"{text}\" is too large: at most 1T"));
        }
        assert_eq!((number("7"), number("4294967295")), (Some(7), Some(u32::MAX)));
        assert!(["", "+7", "-1", "4294967296", "7 ", "0x7"].into_iter().all(|text| number(text).is_none()));
        assert_eq!(positive_count("1"), Ok(1));
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in "\\PC*") {
            let _ = (duration(&text), positive_duration(&text), count(&text), size(&text));
            let _ = (flows(&text), number(&text), positive_size(&text));
        }

        #[test]
        fn plain_numbers_are_themselves(number: u64) {
            prop_assert_eq!(count(&number.to_string()), Ok(number));
            prop_assert_eq!(size(&number.to_string()), Ok(number));
        }
    }
}
