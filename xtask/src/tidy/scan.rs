//! Splits Rust source into code and comments, so that a rule about one does not read the other.

/// A comment's line, without its slashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Line of the file, from 1.
    pub(super) number: usize,
    pub(super) text: String,
}

/// The code, with as many lines as the file and spaces for comments and the contents of strings; and the comments.
pub(super) fn split(text: &str) -> (String, Vec<Line>) {
    let octets = text.as_bytes();
    let (mut code, mut comments) = (String::with_capacity(text.len()), Vec::new());
    let (mut at, mut number) = (0, 1);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = if rest.starts_with("//") {
            let line = rest.lines().next().unwrap_or_default();
            comments.push(Line { number, text: line.trim_start_matches(['/', '!']).trim().to_owned() });
            line.len()
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest, before(octets, at)) {
            length
        } else {
            let next = rest.chars().next().unwrap_or(' ');
            code.push(next);
            number += usize::from(next == '\n');
            at += next.len_utf8();
            continue;
        };
        let lines = rest.get(..length).unwrap_or_default().matches('\n').count();
        // A blank stands for a literal, so that an expression stays one.
        code.push(' ');
        code.extend(std::iter::repeat_n('\n', lines));
        number += lines;
        at += length;
    }
    (code, comments)
}

fn before(octets: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).and_then(|at| octets.get(at)).copied()
}

/// Octets of the string or character that the text begins with.
fn literal(rest: &str, before: Option<u8>) -> Option<usize> {
    let in_word = before.is_some_and(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
    if !in_word {
        let marked = rest.trim_start_matches(['b', 'c']);
        let prefix = rest.len() - marked.len();
        let hashes = marked.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len());
        if let Some(hashes) = hashes
            && prefix <= 1
            && marked.get(1 + hashes..).is_some_and(|text| text.starts_with('"'))
        {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = prefix + 2 + hashes;
            return Some(rest.get(open..)?.find(&end).map_or(rest.len(), |found| open + found + end.len()));
        }
    }
    match rest.as_bytes().first()? {
        b'"' => Some(quoted(rest, b'"')),
        // A lifetime is no character.
        b'\'' => {
            let mut inner = rest.chars().skip(1);
            let (first, second) = (inner.next()?, inner.next()?);
            (first == '\\' || second == '\'').then(|| quoted(rest, b'\''))
        }
        _ => None,
    }
}

/// Octets up to and with the closing mark.
fn quoted(text: &str, mark: u8) -> usize {
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate().skip(1) {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            octet if octet == mark => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_no_code() {
        let text = "//! One.\nlet a = \"// no \\\" unsafe\"; // Two.\nlet b = r#\"\n\"unsafe\"#;\nlet c: &'a str = '\"';\n";
        let (code, comments) = split(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains("unsafe") && code.contains("let c: &'a str ="), "{code}");
        let found: Vec<_> = comments.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(found, [(1, "One."), (2, "Two.")]);
    }
}
