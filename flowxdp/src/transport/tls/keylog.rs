//! The key log: the secrets of TLS sessions in the file that SSLKEYLOGFILE names (RFC 9850), for Wireshark.
//!
//! rustls's own follows links, and leaves an existing file readable for whom it was.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, ensure};
use rustix::{
    fs::{FileType, Mode, OFlags, fchmod, fstat, open},
    process::geteuid,
};
use rustls::KeyLog;

use crate::file::named;

/// Only the agent's user reads the secrets.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The file, where there is one.
#[derive(Debug, Default)]
pub(super) struct KeyFile {
    file: Option<File>,
    /// A write failed, which was said.
    failed: AtomicBool,
}

impl KeyFile {
    /// Opens the file that the environment names; one that cannot be used is said, and nothing is logged.
    pub(super) fn of_environment() -> Self {
        std::env::var_os("SSLKEYLOGFILE").map_or_else(Self::default, |path| Self::at(&path))
    }

    fn at(path: &OsStr) -> Self {
        match file(Path::new(path)) {
            Ok(file) => Self { file: Some(file), failed: AtomicBool::default() },
            Err(error) => {
                log::warn!("SSLKEYLOGFILE: no keys are written to {}: {error:#}", path.display());
                Self::default()
            }
        }
    }
}

/// Opens a regular file of the agent's user to be appended to, mode 0600.
fn file(path: &Path) -> anyhow::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, flags, MODE).map_err(|error| match error {
        rustix::io::Errno::LOOP => io::Error::other("it is a symbolic link, which is not followed"),
        error => error.into(),
    })?;
    let state = fstat(&file)?;
    let (kind, user) = (FileType::from_raw_mode(state.st_mode), state.st_uid);
    ensure!(kind == FileType::RegularFile, "it is {}, and must be a regular file", named(kind));
    ensure!(user == geteuid().as_raw(), "it belongs to user {user}, who could read it");
    if Mode::from_raw_mode(state.st_mode) != MODE {
        fchmod(&file, MODE).context("it stays readable for others")?;
    }
    Ok(File::from(file))
}

impl KeyLog for KeyFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let Some(mut file) = self.file.as_ref() else { return };
        let mut line = format!("{label} ");
        for octet in client_random {
            let _ = write!(line, "{octet:02x}");
        }
        line.push(' ');
        for octet in secret {
            let _ = write!(line, "{octet:02x}");
        }
        line.push('\n');
        // One write, so that lines of several sessions do not mix.
        if let Err(error) = file.write_all(line.as_bytes())
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            log::warn!("SSLKEYLOGFILE cannot be written: {error}");
        }
    }

    fn will_log(&self, _label: &str) -> bool {
        self.file.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::KeyFile;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use rustls::KeyLog;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt, symlink},
    };

    #[test]
    fn keys_are_for_the_agents_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        fs::write(&old, "before\n").unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o644)).unwrap();
        for path in [&new, &old] {
            let keys = KeyFile::at(path.as_os_str());
            assert!(keys.will_log("CLIENT_RANDOM"));
            keys.log("CLIENT_RANDOM", &[0, 0xab], &[1, 2]);
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
            assert!(fs::read_to_string(path).unwrap().ends_with("CLIENT_RANDOM 00ab 0102\n"));
        }
        assert!(fs::read_to_string(&old).unwrap().starts_with("before\n"));
    }

    #[test]
    fn a_link_or_a_pipe_gets_no_keys() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link, fifo) =
            (folder.path().join("target"), folder.path().join("link"), folder.path().join("fifo"));
        fs::write(&target, "").unwrap();
        symlink(&target, &link).unwrap();
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        for path in [&link, &fifo] {
            let keys = KeyFile::at(path.as_os_str());
            keys.log("CLIENT_RANDOM", &[1], &[2]);
            assert!(!keys.will_log("CLIENT_RANDOM"));
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "");
    }
}
