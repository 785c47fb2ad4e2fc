//! The kernels that a VM can boot: Debian's own, by short names.

use anyhow::{Context, Result};

/// A kernel, and where it comes from.
pub(crate) struct Kernel {
    /// As `--kernel` calls it.
    pub(crate) name: &'static str,
    /// The Debian package that depends on the newest image of this kind.
    pub(crate) package: &'static str,
    /// Debian's suite that has it.
    pub(crate) suite: &'static str,
    /// How its version must begin, which moves in suites that are not frozen.
    pub(crate) version: &'static str,
    /// Whether the agent refuses to run there, which is then all that there is to test.
    pub(crate) refused: bool,
}

pub(crate) const KERNELS: [Kernel; 8] = [
    kernel("6.1", "linux-image-cloud-amd64", "bookworm", "6.1."),
    kernel("6.1-rt", "linux-image-rt-amd64", "bookworm", "6.1."),
    kernel("6.12", "linux-image-6.12-cloud-amd64", "bookworm", "6.12."),
    kernel("6.12-rt", "linux-image-6.12-rt-amd64", "bookworm", "6.12."),
    refused(kernel("5.10", "linux-image-cloud-amd64", "bullseye", "5.10.")),
    kernel("7.2", "linux-image-cloud-amd64", "sid", "7.2."),
    refused(kernel("7.2-rt", "linux-image-rt-amd64", "sid", "7.2.")),
    kernel("newest", "linux-image-cloud-amd64", "sid", ""),
];

const fn kernel(
    name: &'static str,
    package: &'static str,
    suite: &'static str,
    version: &'static str,
) -> Kernel {
    Kernel { name, package, suite, version, refused: false }
}

const fn refused(kernel: Kernel) -> Kernel {
    Kernel { refused: true, ..kernel }
}

/// The kernel of a name.
pub(crate) fn find(name: &str) -> Result<&'static Kernel> {
    let names = || KERNELS.iter().map(|kernel| kernel.name).collect::<Vec<_>>().join(", ");
    KERNELS
        .iter()
        .find(|kernel| kernel.name == name)
        .with_context(|| format!("no kernel {name}: name one of {}", names()))
}
