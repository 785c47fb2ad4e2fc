//! `flowxdp reload`: a running agent reads its configuration again, and applies all of its changes or none.

use anyhow::Context;
use serde_json::Value;

use super::verb;
use crate::text;

pub use super::verb::Options;

/// Asks, waits, and prints the keys whose values changed.
///
/// # Errors
///
/// No agent answers at the socket, or the agent refuses: nothing changed then.
pub fn run(options: &Options) -> anyhow::Result<()> {
    verb::run(options, "reload", shown)
}

fn shown(answer: &[u8]) -> anyhow::Result<String> {
    let answer = verb::accepted(answer)?;
    let changed = answer["reloaded"].as_array().context("cannot reload: it is of another version")?;
    let changed: Vec<_> = changed.iter().filter_map(Value::as_str).map(text::printable).collect();
    if changed.is_empty() {
        return Ok("reloaded: nothing differs".to_owned());
    }
    Ok(format!("reloaded: {}", changed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn changes_are_one_line() {
        let line = |answer: &str| shown(answer.as_bytes()).unwrap();
        assert_eq!(line(r#"{"reloaded":[]}"#), "reloaded: nothing differs");
        assert_eq!(line(r#"{"reloaded":["timeouts","flows"]}"#), "reloaded: timeouts, flows");
    }

    #[test]
    fn a_refusal_books_and_garbage_are_errors() {
        for (answer, word) in [
            (r#"{"error":"monitor.pin cannot\u001b change"}"#, "refuses: monitor.pin cannot\\u{1b} change"),
            (r#"{"seen":{"packets":1,"octets":2}}"#, "another version"),
            ("reloaded", "no answer that is known"),
        ] {
            let error = format!("{:#}", shown(answer.as_bytes()).unwrap_err());
            assert!(error.contains(word) && !error.contains(char::is_control), "{answer}: {error}");
        }
    }
}
