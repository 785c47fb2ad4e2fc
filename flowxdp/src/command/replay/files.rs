//! The capture files of a replay, in their order. Each is opened once; a file with a fault does not end the
//! replay, and is named when all are read.

use std::{collections::VecDeque, fs, path::PathBuf};

use crate::capture::{CaptureError, CaptureFile, Reader};

/// Regular files that are open at once, so that their sizes are known before the first packet.
const OPEN: usize = 64;

/// Octets that a packet takes in a capture file at least: so a file bounds its flows.
const LEAST_OCTETS: u64 = 24;

enum Waiting {
    Open(Box<Reader>),
    /// A pipe, or one file too many: its turn comes later.
    Path(PathBuf),
}

/// The files that are not read yet, and the faults so far.
pub(super) struct Files {
    waiting: VecDeque<Waiting>,
    faults: Vec<String>,
}

impl Files {
    /// Opens regular files, [`OPEN`] at most. All others wait, since the writer of a pipe may wait as well.
    pub(super) fn open(paths: &[PathBuf]) -> Self {
        let mut files = Self { waiting: VecDeque::new(), faults: Vec::new() };
        for (place, path) in paths.iter().enumerate() {
            let waits = fs::metadata(path)
                .map_or(path.as_os_str() == "-", |found| !found.is_file() && !found.is_dir());
            if waits || place >= OPEN {
                files.waiting.push_back(Waiting::Path(path.clone()));
            } else if let Some(reader) = files.begin(path) {
                files.waiting.push_back(Waiting::Open(reader));
            }
        }
        files
    }

    fn begin(&mut self, path: &PathBuf) -> Option<Box<Reader>> {
        match CaptureFile::open(path).and_then(CaptureFile::read) {
            Ok(reader) => Some(Box::new(reader)),
            Err(fault) => {
                self.fault(&fault);
                None
            }
        }
    }

    /// The next file that is a capture.
    pub(super) fn next(&mut self) -> Option<Box<Reader>> {
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting {
                Waiting::Open(reader) => return Some(reader),
                Waiting::Path(path) => {
                    if let Some(reader) = self.begin(&path) {
                        return Some(reader);
                    }
                }
            }
        }
        None
    }

    /// Whether no file waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Opens files until one is a capture; `false` when none is.
    pub(super) fn ready(&mut self) -> bool {
        let next = self.next();
        let is_ready = next.is_some();
        self.waiting.extend(next.map(Waiting::Open));
        self.waiting.rotate_right(usize::from(is_ready));
        is_ready
    }

    /// Octets of all the files that wait, as they are on disk; `None` where one has no size.
    pub(super) fn octets(&self) -> Option<u64> {
        let mut octets = self.waiting.iter().map(|waiting| match waiting {
            Waiting::Open(reader) => reader.octets(),
            Waiting::Path(_) => None,
        });
        octets.try_fold(0_u64, |sum, octets| sum.checked_add(octets?))
    }

    /// The most flows that the files can have, where their sizes bound them.
    pub(super) fn most_flows(&self) -> Option<u64> {
        let packed = |waiting: &Waiting| matches!(waiting, Waiting::Open(reader) if reader.is_packed());
        let octets = self.octets().filter(|_| !self.waiting.iter().any(packed));
        octets.map(|octets| octets / LEAST_OCTETS + 1)
    }

    /// Notes a file's fault.
    pub(super) fn fault(&mut self, fault: &CaptureError) {
        self.faults.push(fault.to_string());
    }

    /// The files' faults, in one line.
    ///
    /// # Errors
    ///
    /// The faults, if there is one.
    pub(super) fn result(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.faults.is_empty(), "{}", self.faults.join("; "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::Files;

    fn capture(path: &Path, octets: usize) {
        let mut file: Vec<u8> =
            [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
        file.resize(octets, 0);
        fs::write(path, file).unwrap();
    }

    #[test]
    fn a_file_with_a_fault_is_named_and_those_behind_it_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        capture(&path("a.pcap"), 24);
        capture(&path("d.pcap"), 48);
        fs::write(path("b.txt"), "nonsense").unwrap();
        let mut files = Files::open(&["a.pcap", "b.txt", "c.absent", "d.pcap"].map(path));
        assert_eq!((files.octets(), files.most_flows()), (Some(72), Some(4)));
        assert!(files.ready());
        let names: Vec<String> =
            std::iter::from_fn(|| files.next()).map(|reader| reader.name().to_owned()).collect();
        assert_eq!(names, ["a.pcap", "d.pcap"].map(|name| path(name).display().to_string()));
        let line = files.result().unwrap_err().to_string();
        assert!(
            line.contains("b.txt: at octet 0") && line.contains("; ") && line.contains("c.absent"),
            "{line}"
        );
        assert!(!line.contains('\n'));
    }

    #[test]
    fn only_sizes_of_regular_files_that_are_not_packed_bound_the_flows() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, other) = (directory.path().join("a.pcap"), Path::new("/dev/null").to_owned());
        capture(&plain, 24);
        assert_eq!(Files::open(&[plain.clone(), other]).most_flows(), None);
        let mut many = vec![plain; super::OPEN];
        assert!(Files::open(&many).most_flows().is_some());
        many.push(many[0].clone());
        assert_eq!(Files::open(&many).most_flows(), None);
    }
}
