//! Standard output and standard error, which may be closed, full, or a pipe whose reader is gone.
//!
//! `println!` and `eprintln!` panic then, and exit status 1 or 2 would become 101: clippy refuses them here.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Context;

use crate::text;

/// Writes the product of a command and a line feed on standard output. A reader that is gone is no error.
///
/// # Errors
///
/// Standard output takes no more: its disk is full, say.
pub fn product(text: impl fmt::Display) -> anyhow::Result<()> {
    written(write_line(&mut io::stdout().lock(), &text))
}

/// The result of a write to standard output.
///
/// # Errors
///
/// As [`product`].
pub fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes the one line of an error on standard error, as far as that can be written: the exit status says
/// the same.
pub fn diagnostic(text: impl fmt::Display) {
    let line = one_line(&text.to_string());
    drop(write_line(&mut io::stderr().lock(), &format_args!("flowxdp: {line}")));
}

/// Writes the lines of an error on standard error as they are, as far as they can be written.
pub fn diagnostic_lines(text: impl fmt::Display) {
    drop(write_line(&mut io::stderr().lock(), &text));
}

/// Flushed, so that an error of the last octets is an error too.
fn write_line(out: &mut impl Write, text: &impl fmt::Display) -> io::Result<()> {
    writeln!(out, "{text}")?;
    out.flush()
}

/// A text without line breaks and without characters that a terminal acts on.
pub(crate) fn one_line(text: &str) -> String {
    text::log::escaped(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{one_line, write_line, written};
    use std::{fs::OpenOptions, io};

    #[test]
    fn a_full_disk_is_an_error_and_a_reader_that_is_gone_is_none() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = written(write_line(&mut full, &"books")).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write to standard output: No space left"));
        let (reader, mut gone) = io::pipe().unwrap();
        drop(reader);
        written(write_line(&mut gone, &"books")).unwrap();
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line(" a\n  b\tc "), "a b c");
    }
}
