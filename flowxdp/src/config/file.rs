//! The file of a configuration: its text, within limits.

use std::path::Path;

use crate::file;

/// Octets of the largest file: every key and a thousand collectors fill half of it.
const LARGEST: u64 = 256 << 10;

/// Reads the text.
///
/// # Errors
///
/// The file is not there, is no regular file, is too large, or is not UTF-8.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let octets = file::read_at_most(path, LARGEST).map_err(|error| format!("--config: {error:#}"))?;
    String::from_utf8(octets).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|octet| **octet == b'\n').count() + 1;
        let shown = path.display();
        format!("--config: {shown}:{line}: the file is not UTF-8 here: save it as UTF-8, without a byte order of its own")
    })
}
