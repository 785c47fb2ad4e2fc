//! JSON whose strings hold no character that a terminal acts on: such a character is `\uXXXX`, which every
//! reader of JSON takes as the character itself (RFC 8259 section 7).

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::is_active;

/// Writes `value` to `out`, compact.
///
/// # Errors
///
/// When `out` fails, or `value` has keys that are no strings.
pub fn write(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Escaped))?;
    Ok(())
}

/// The JSON of `value` as text.
///
/// # Errors
///
/// `value` has keys that are no strings.
pub fn text(value: &impl Serialize) -> io::Result<String> {
    let mut octets = Vec::new();
    write(&mut octets, value)?;
    String::from_utf8(octets).map_err(io::Error::other)
}

/// JSON that another program serialised, with its strings escaped in the same way. Line breaks and tabs between
/// two values stay.
pub fn escaped(json: &str) -> String {
    let mut text = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find(['\n', '\t', '\r']) {
        let (before, space) = rest.split_at(at);
        // Writing to memory does not fail.
        let _ = escape(&mut text, before);
        text.push(if space.starts_with('\r') { b' ' } else { *space.as_bytes().first().unwrap_or(&b' ') });
        rest = space.get(1..).unwrap_or_default();
    }
    let _ = escape(&mut text, rest);
    String::from_utf8(text).unwrap_or_default()
}

struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        escape(out, fragment)
    }
}

fn escape<W: ?Sized + Write>(out: &mut W, text: &str) -> io::Result<()> {
    let mut rest = text;
    while let Some((at, active)) = rest.char_indices().find(|(_, character)| is_active(*character)) {
        let (before, behind) = rest.split_at(at);
        out.write_all(before.as_bytes())?;
        for unit in active.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = behind.get(active.len_utf8()..).unwrap_or_default();
    }
    out.write_all(rest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_and_mean_the_same() {
        let name = "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0001}\n\"größe\\ 網";
        let shown = text(&[name]).unwrap();
        assert_eq!(shown, r#"["a\u001b[2J\u009b\u007f\u202e\udb40\udc01\n\"größe\\ 網"]"#);
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [name]);
    }

    #[test]
    fn keys_are_strings_too() {
        let books = std::collections::BTreeMap::from([("\u{9b}2J", 1)]);
        assert_eq!(text(&books).unwrap(), r#"{"\u009b2J":1}"#);
    }

    #[test]
    fn white_space_of_another_serialiser_stays() {
        assert_eq!(escaped("{\r\n\t\"a\u{9b}\": 1}\n"), "{ \n\t\"a\\u009b\": 1}\n");
    }
}
