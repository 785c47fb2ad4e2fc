//! `flowxdp flush`: a running agent retires and exports every flow of its table now.

use anyhow::Context;
use flowxdp_core::record::RecordTotal;
use serde::Deserialize;

use super::verb;
use crate::report;

pub use super::verb::Options;

/// Asks, waits, and prints how much was retired.
///
/// # Errors
///
/// No agent answers at the socket, or the agent refuses: an older version, or no collector has room.
pub fn run(options: &Options) -> anyhow::Result<()> {
    verb::run(options, "flush", shown)
}

fn shown(answer: &[u8]) -> anyhow::Result<String> {
    let answer = verb::accepted(answer)?;
    // Books, say, of an agent that knows no verbs.
    let total = |key: &str| RecordTotal::deserialize(&answer[key]);
    let flushed = total("flushed").context("cannot flush: it is of another version; start this version's")?;
    let queued = total("queued").unwrap_or_default();
    let counted = |total: RecordTotal| {
        let [records, packets, octets] =
            [total.records, total.packets, total.octets].map(report::grouped::<u64>);
        format!("{records} records ({packets} packets, {octets} octets)")
    };
    let mut line = format!("flushed: {}", counted(flushed));
    if queued.records > 0 {
        line.push_str(&format!("; queued for collectors: {}", counted(queued)));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_answer_is_one_line() {
        let flushed = r#"{"flushed":{"records":1200,"packets":3000,"octets":90000},"queued":{"records":0,"packets":0,"octets":0}}"#;
        assert_eq!(
            shown(flushed.as_bytes()).unwrap(),
            "flushed: 1,200 records (3,000 packets, 90,000 octets)"
        );
        let queued = flushed.replace(r#""queued":{"records":0"#, r#""queued":{"records":7"#);
        assert!(shown(queued.as_bytes()).unwrap().contains("; queued for collectors: 7 records"));
    }

    #[test]
    fn a_refusal_books_and_garbage_are_errors() {
        for (answer, word) in [
            (r#"{"error":"the agent is\u001b ending"}"#, "refuses: the agent is\\u{1b} ending"),
            (r#"{"seen":{"packets":1,"octets":2},"queued":{"packets":1,"octets":1}}"#, "another version"),
            ("[]", "another version"),
            ("\u{0}", "no answer that is known"),
        ] {
            let error = format!("{:#}", shown(answer.as_bytes()).unwrap_err());
            assert!(error.contains(word) && !error.contains(char::is_control), "{answer}: {error}");
        }
    }
}
