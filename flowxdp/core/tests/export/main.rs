//! The exporting process as a collector sees it: records in, messages out, read back by readers that
//! share no code with the encoder.
#![allow(
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every function here is part of a test"
)]

mod aggregates;
mod collector;
mod golden;
mod manual;
mod parser;
mod properties;
mod samples;
mod timing;
mod uptime;

/// Compares `actual` with the file `name` in the folder of this crate, or rewrites the file when
/// FLOWXDP_REWRITE=1.
fn compare_with_file(name: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("FLOWXDP_REWRITE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (expected, actual)) in expected.lines().zip(actual.lines()).enumerate() {
        assert_eq!(expected, actual, "{name} line {}; FLOWXDP_REWRITE=1 rewrites it", number + 1);
    }
    assert!(expected == actual, "{name} is cut or has lines too many; FLOWXDP_REWRITE=1 rewrites it");
}
