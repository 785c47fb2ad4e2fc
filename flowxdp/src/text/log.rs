//! Log lines: every record passes here, whichever module made it, so that no foreign text forges a line or
//! reaches a terminal as a command.

use std::borrow::Cow;

use log::{Log, Metadata, Record};

use super::is_active;

/// Starts logging to `logger`, through this writer.
///
/// # Errors
///
/// Another logger is installed already.
pub fn start(logger: env_logger::Logger) -> Result<(), log::SetLoggerError> {
    log::set_max_level(logger.filter());
    log::set_boxed_logger(Box::new(Escaping(logger)))
}

struct Escaping(env_logger::Logger);

impl Log for Escaping {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.matches(record) {
            return;
        }
        let text = record.args().to_string();
        let text = escaped(&text);
        let mut copy = Record::builder();
        copy.metadata(record.metadata().clone()).module_path(record.module_path());
        copy.file(record.file()).line(record.line());
        self.0.log(&copy.args(format_args!("{text}")).build());
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// The message with active characters escaped. A line break stays, as the books have several lines, but not in
/// front of a bracket: with one a log line begins.
pub fn escaped(message: &str) -> Cow<'_, str> {
    let breaks = |at: usize| !message.get(at + 1..).is_some_and(|next| next.starts_with('['));
    let keeps = |(at, character): (usize, char)| match character {
        '\n' => breaks(at),
        '\t' => true,
        _ => !is_active(character),
    };
    if message.char_indices().all(keeps) {
        return Cow::Borrowed(message);
    }
    let mut text = String::with_capacity(message.len());
    for (at, character) in message.char_indices() {
        if keeps((at, character)) {
            text.push(character);
        } else {
            text.extend(character.escape_debug());
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn active_characters_are_escaped_and_lines_of_the_books_stay() {
        let forged = "interface a\u{1b}[2J\u{9b}\u{202e}b\n[2026-01-01T00:00:00Z ERROR flowxdp] x";
        let shown = r"interface a\u{1b}[2J\u{9b}\u{202e}b\n[2026-01-01T00:00:00Z ERROR flowxdp] x";
        assert_eq!(escaped(forged), shown);
        let books = "stopped; the books:\n  seen  1\n\t\"größe\" it's";
        assert_eq!(escaped(books), books);
    }
}
