//! Books that come over the control socket, as text for a terminal: octets of any origin.

use std::io::Read;

use anyhow::{Context, ensure};

use crate::{report, text};

/// Octets of the longest answer; an agent with thousands of interfaces and collectors gives a shorter one.
/// Parsing can take a hundred octets of memory for each.
pub const LONGEST: usize = 4 << 20;

/// Reads an answer to its end.
///
/// # Errors
///
/// It does not end in time, as the stream says, or not within [`LONGEST`].
pub fn read(stream: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut answer = Vec::new();
    stream.take(LONGEST as u64 + 1).read_to_end(&mut answer)?;
    ensure!(answer.len() <= LONGEST, "more than {LONGEST} octets");
    Ok(answer)
}

/// The text that is printed of an answer: the JSON object itself, or tables. Neither has anything in it that
/// a terminal acts on.
///
/// # Errors
///
/// The answer is no JSON object.
pub fn shown(answer: &[u8], json: bool) -> anyhow::Result<String> {
    let octets = std::str::from_utf8(answer)?;
    let books: serde_json::Value = serde_json::from_str(octets)?;
    books.as_object().context("no JSON object")?;
    Ok(if json { text::json::escaped(octets.trim_end()) } else { report::table(&books) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_an_error_of_one_line() {
        let deep = "[".repeat(100_000);
        for answer in [&b""[..], b"\xff\x00", b"[]", b"{\"a\":\"\x1b\"}", b"{}\n{}", b"{", deep.as_bytes()] {
            let error = shown(answer, false).map(drop).unwrap_err();
            assert!(!format!("{error:#}").contains(char::is_control), "{error:#}");
        }
    }

    #[test]
    fn an_answer_without_an_end_is_left() {
        assert_eq!(read(&b"{}"[..]).unwrap(), b"{}");
        assert_eq!(read(std::io::repeat(b' ')).unwrap_err().to_string(), "more than 4194304 octets");
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let answer = "{\r\"interfaces\": {\"a\u{9b}2J\\u001b[2J\": {}}}\n";
        assert_eq!(shown(answer.as_bytes(), true).unwrap(), r#"{ "interfaces": {"a\u009b2J\u001b[2J": {}}}"#);
        let table = shown(answer.as_bytes(), false).unwrap();
        assert!(table.contains(r"a\u{9b}2J\u{1b}[2J"), "{table}");
        assert!(!table.contains(|it: char| it.is_control() && it != '\n'));
    }

    #[test]
    fn numbers_of_any_size_have_a_sum() {
        let answer = r#"{"seen":{"packets":1},"exported":{"packets":18446744073709551615},
            "queued":{"packets":18446744073709551615}}"#;
        let table = shown(answer.as_bytes(), false).unwrap();
        assert!(table.contains("NOT balance: 36,893,488,147,419,103,229 packets too many"), "{table}");
    }
}
