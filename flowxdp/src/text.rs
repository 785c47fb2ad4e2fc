//! Foreign text, as a terminal, a log and a reader of JSON may get it: names of interfaces, strings of records,
//! URLs and errors hold octets that others chose.
//!
//! - [`printable`]: a short name in a table or a sentence. [`json`]: a serialised value. [`log`]: a log line, and the
//!   line of an error.
//!
//! All three share one rule: a character that does not print (control and format characters, those that turn
//! the direction of writing among them) is escaped, so that no terminal acts on it.

pub mod json;
pub mod log;
mod printable;

pub use printable::printable;

/// Whether a terminal may act on `character`, or show no glyph for it.
fn is_active(character: char) -> bool {
    let quotes = matches!(character, '\\' | '"' | '\'');
    // Every character that prints is one character in its debug form.
    !quotes && !character.is_ascii_graphic() && character.escape_debug().len() > 1
}
