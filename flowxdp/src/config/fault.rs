//! Faults of a configuration, each with its place.

use std::{ffi::OsStr, fmt, ops::Range, path::PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::key::Key;
use crate::{output, text::printable};

/// Faults that are shown; a file that is no configuration at all may have one a line.
pub(super) const SHOWN: usize = 100;

/// The place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag of the command line.
    Flag(&'static Key),
    /// Octets of the file.
    File(Range<usize>),
    /// Neither: a value that is missing, or a default.
    Nowhere,
}

impl Place {
    /// The first octet in the file; behind the file for all other places.
    pub const fn start(&self) -> usize {
        match self {
            Self::File(span) => span.start,
            Self::Flag(_) | Self::Nowhere => usize::MAX,
        }
    }
}

/// A fault: its place, and a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// The fault and its remedy.
    pub text: String,
}

impl Fault {
    /// A fault of a place.
    pub fn new(place: Place, text: impl Into<String>) -> Self {
        Self { place, text: text.into() }
    }

    /// A text that is no value of a key.
    pub fn value(place: Place, key: &Key, typed: &OsStr, why: &str) -> Self {
        let text = match place {
            Place::Flag(_) => format!(
                "invalid value '{}' for '--{} <{}>': {why}",
                typed.display(),
                key.flag().unwrap_or_default(),
                key.value
            ),
            Place::File(_) | Place::Nowhere => format!("{}: {why}", key.path()),
        };
        Self { place, text }
    }

    /// One line; and for a place in the file its path, line and column, and the line with a caret.
    fn shown(&self, file: Option<&(PathBuf, String)>) -> String {
        let text = output::one_line(&self.text);
        let (Place::File(span), Some((path, source))) = (&self.place, file) else {
            return format!("flowxdp: {text}");
        };
        let line = Line::of(source, span);
        let path = path.to_string_lossy();
        let snippet = Snippet::source(line.text).path(printable(&path)).line_start(line.number);
        let snippet = snippet.annotation(AnnotationKind::Primary.span(line.span));
        let report = Level::ERROR.with_name("flowxdp").primary_title(text).element(snippet);
        Renderer::plain().render(&[report])
    }
}

/// The line of the file in which a place begins, and the part of the place in it.
struct Line<'a> {
    text: &'a str,
    /// From 1 on.
    number: usize,
    span: Range<usize>,
}

impl<'a> Line<'a> {
    fn of(source: &'a str, span: &Range<usize>) -> Self {
        let before = source.get(..span.start).unwrap_or(source);
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = source.get(begin..).unwrap_or_default();
        let text = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        // A carriage return that is a fault itself is behind the text.
        let start = (before.len() - begin).min(text.len());
        let end = span.end.saturating_sub(begin).clamp(start, text.len());
        Self { text, number: before.matches('\n').count() + 1, span: start..end }
    }
}

/// All faults of a configuration, which is not used then.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The path and the text of the file, if there is one.
    pub file: Option<(PathBuf, String)>,
    /// The faults, in the order of their places: the file, then flags.
    pub faults: Vec<Fault>,
}

impl Faults {
    /// Adds faults at their places.
    pub fn add(&mut self, faults: Vec<Fault>) {
        self.faults.extend(faults);
        self.faults.sort_by_key(|fault| fault.place.start());
    }

    /// A text for each fault.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.faults.iter().map(|fault| fault.text.as_str())
    }

    /// The first one with the file's path and line, and how many more there are.
    pub fn in_one_line(&self) -> String {
        let Some(first) = self.faults.first() else { return String::new() };
        let place = match (&first.place, &self.file) {
            (Place::File(span), Some((path, source))) => {
                format!("{}:{}: ", path.display(), Line::of(source, span).number)
            }
            _ => String::new(),
        };
        let more = match self.faults.len() {
            1 => String::new(),
            count => format!(" (and {} more, which `flowxdp check` shows)", count - 1),
        };
        format!("{place}{}{more}", output::one_line(&first.text))
    }

    /// All of them for people, with a note where there are too many.
    pub fn shown(&self) -> String {
        let faults = self.faults.iter().take(SHOWN).map(|fault| fault.shown(self.file.as_ref()));
        let rest = self.faults.len().saturating_sub(SHOWN);
        let rest = (rest > 0).then(|| format!("flowxdp: and {rest} faults more"));
        faults.chain(rest).collect::<Vec<_>>().join("\n")
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().collect::<Vec<_>>().join("\n"))
    }
}
