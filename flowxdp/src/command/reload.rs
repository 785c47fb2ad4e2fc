//! `flowxdp reload`: a running agent reads its configuration again, and applies all of its changes or none.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{
    agent::control::{SOCKET, client},
    output, text,
};

/// How long an agent may take: the kernel verifies the programs of a new table meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);

/// Options of `flowxdp reload`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Socket of the agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}

/// Asks, waits, and prints the keys whose values changed.
///
/// # Errors
///
/// No agent answers at the socket, or the agent refuses: nothing changed then.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let answer = client::ask(&options.socket, "reload", PATIENCE)?;
    let line = shown(&answer).with_context(|| format!("the agent at {}", options.socket.display()))?;
    output::product(line)
}

fn shown(answer: &[u8]) -> anyhow::Result<String> {
    let answer: Value = serde_json::from_slice(answer).context("sends no answer that is known")?;
    if let Some(why) = answer["error"].as_str() {
        bail!("refuses: {}", text::printable(why));
    }
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
