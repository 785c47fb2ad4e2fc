//! Committed output of the program, for tests: a difference fails, and `FLOWXDP_REWRITE=1` writes the files again.
//!
//! Packages that cannot depend on this one take the file in by `#[path]`.

use std::path::Path;

/// Whether committed files are to be written again.
pub fn rewrites() -> bool {
    std::env::var_os("FLOWXDP_REWRITE").is_some_and(|value| value == "1")
}

/// Compares `actual` with the file `name` below the package's folder; a switch in the environment writes it instead.
///
/// # Panics
///
/// The file differs, or cannot be written.
pub fn compare(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if rewrites() {
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = written.and_then(|()| std::fs::write(&path, actual));
        assert!(written.is_ok(), "{name}: {written:?}");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (expected, actual)) in expected.lines().zip(actual.lines()).enumerate() {
        assert_eq!(expected, actual, "{name} line {}; FLOWXDP_REWRITE=1 rewrites it", number + 1);
    }
    assert!(expected == actual, "{name} is cut or has lines too many; FLOWXDP_REWRITE=1 rewrites it");
}
