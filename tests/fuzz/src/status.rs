//! The target `status`: any octets as the answer of an agent.

use flowxdp::agent::control::answer::{read, shown};

/// One input of the fuzzer.
///
/// # Panics
///
/// If something does not hold.
pub fn target(data: &[u8]) {
    let Ok(answer) = read(data) else { unreachable!("a short answer is read") };
    assert_eq!(answer, data, "octets are missing");
    let (json, table) = (shown(&answer, true), shown(&answer, false));
    assert_eq!(json.is_ok(), table.is_ok(), "an answer is right in one form alone");
    for text in [&json, &table] {
        match text {
            Ok(text) => assert_eq!(acted_on(text), None, "a terminal acts on this"),
            Err(error) => assert!(!format!("{error:#}").contains(char::is_control), "an error of many lines"),
        }
    }
    if let (Ok(json), Ok(table)) = (json, table) {
        let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
        assert_eq!(value(json.as_bytes()), value(data), "another answer is shown than was given");
        assert!(table.contains("alance"), "no word on the balance");
    }
}

/// A character that a terminal does something at, but for going on to the right or on the next line.
fn acted_on(text: &str) -> Option<char> {
    text.chars().find(|it| it.is_control() && !matches!(it, '\n' | '\t'))
}
