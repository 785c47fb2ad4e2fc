//! Names for a terminal: short, and without characters that the terminal acts on.

use std::borrow::Cow;

use super::is_active;

/// Characters that are shown of one name; interfaces have 15, the URL of a collector seldom a hundred.
const LONGEST: usize = 240;

/// A name with escapes for characters that do not print (`\u{1b}`), and without its end if the name is long.
pub fn printable(name: &str) -> Cow<'_, str> {
    if name.len() <= LONGEST && name.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return Cow::Borrowed(name);
    }
    let mut text = String::new();
    let mut characters = name.chars();
    for character in characters.by_ref().take(LONGEST) {
        if is_active(character) {
            text.extend(character.escape_debug());
        } else {
            text.push(character);
        }
    }
    if characters.next().is_some() {
        text.push('…');
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_escaped_and_all_else_is_not() {
        for (name, shown) in [
            ("eth0", "eth0"),
            ("a\u{1b}[2J\u{9b}m\nb\u{7f}", r"a\u{1b}[2J\u{9b}m\nb\u{7f}"),
            ("\u{202e}0hte", r"\u{202e}0hte"),
            (r#"tls://[::1]?ca=C:\"x'"#, r#"tls://[::1]?ca=C:\"x'"#),
            ("größe 網", "größe 網"),
        ] {
            assert_eq!(printable(name), shown);
        }
    }

    #[test]
    fn long_names_end_in_dots() {
        assert_eq!(printable(&"é".repeat(LONGEST)), "é".repeat(LONGEST));
        assert_eq!(printable(&"x".repeat(LONGEST + 1)), "x".repeat(LONGEST) + "…");
    }
}
