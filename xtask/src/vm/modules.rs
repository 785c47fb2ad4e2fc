//! The files of an unpacked kernel that a VM needs: the image, and a few modules with their dependencies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Modules that tests need; some kernels have them built in.
pub(crate) const LIST: &str = "virtio_pci virtio_net veth 8021q dummy bonding tun sch_ingress cls_bpf";

/// Takes image and modules out of `whole`, the modules as plain files, numbered in the order to load them.
pub(crate) fn keep(whole: &Path, kept: &Path) -> Result<()> {
    // Newer Debians have everything below usr.
    let base =
        [whole.to_owned(), whole.join("usr")].into_iter().find(|base| base.join("lib/modules").is_dir());
    let base = base.context("the packages have no modules")?;
    let release = only(&base.join("lib/modules"))?;
    let release = release.file_name().context("a folder without a name")?.to_string_lossy().into_owned();
    let images =
        [whole.join(format!("boot/vmlinuz-{release}")), base.join(format!("lib/modules/{release}/vmlinuz"))];
    let image = images.into_iter().find(|file| file.is_file()).context("the packages have no image")?;
    fs::copy(image, kept.join("vmlinuz"))?;
    shell::quietly(tool("depmod")?.arg("-b").arg(&base).arg(&release))?;
    let modules = kept.join("modules");
    fs::create_dir(&modules)?;
    let mut names: Vec<String> = Vec::new();
    for module in LIST.split_whitespace() {
        let mut show = tool("modprobe")?;
        show.arg("-d").arg(&base).args(["-S", &release, "--show-depends", module]);
        let text = shell::text(&mut show).with_context(|| format!("{release} has no module {module}"))?;
        for file in text.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let file = Path::new(file.split_whitespace().next().unwrap_or_default());
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !names.contains(&name) {
                unpack(file, &modules, &format!("{:02}-{name}", names.len()))?;
                names.push(name);
            }
        }
    }
    Ok(())
}

/// The only entry of a folder.
fn only(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?;
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(entry?.path()),
        _ => bail!("{} has not one entry", folder.display()),
    }
}

/// A program of the administrator's folders.
fn tool(name: &str) -> Result<Command> {
    Ok(Command::new(shell::find(name).with_context(|| format!("{name} is missing: install kmod"))?))
}

/// Copies a module, which may be compressed.
fn unpack(file: &Path, folder: &Path, name: &str) -> Result<()> {
    let copy = folder.join(name);
    fs::copy(file, &copy).with_context(|| file.display().to_string())?;
    match copy.extension().and_then(|ending| ending.to_str()) {
        Some("ko") => Ok(()),
        Some("xz") => shell::quietly(Command::new("xz").arg("-d").arg(&copy)),
        _ => bail!("module {name} is compressed in a way that is not known"),
    }
}
