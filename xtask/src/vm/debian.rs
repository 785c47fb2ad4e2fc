//! A Debian kernel, downloaded and unpacked; nothing is installed, and the machine's own sources stay as they are.
//!
//! Below `target/vm/NAME` stay the image and the few modules that tests need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::kernels::Kernel;
use super::modules;
use crate::shell;

/// A list of packages younger than this is not asked for again.
const FRESH: Duration = Duration::from_secs(24 * 3600);
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Suites that get their newest kernels through another one.
const WITH_SECURITY: [&str; 2] = ["bookworm", "bullseye"];

/// A kernel that can be booted.
pub(crate) struct Image {
    /// The compressed kernel.
    pub(crate) vmlinuz: PathBuf,
    /// Its modules, named in the order to load them.
    pub(crate) modules: PathBuf,
    /// Package and version.
    pub(crate) version: String,
}

impl Image {
    fn at(folder: &Path) -> Option<Self> {
        let version = fs::read_to_string(folder.join("version")).ok()?;
        let (vmlinuz, modules) = (folder.join("vmlinuz"), folder.join("modules"));
        (vmlinuz.is_file() && modules.is_dir()).then_some(Self { vmlinuz, modules, version })
    }
}

/// The newest image of a kernel, from `store` where it has been kept.
pub(crate) fn image(kernel: &Kernel, store: &Path) -> Result<Image> {
    let folder = store.join(kernel.name);
    let stamp = folder.join("version");
    let image = match Image::at(&folder) {
        // Another list of modules is another image.
        Some(image) if is_fresh(&stamp) && image.version.contains(modules::LIST) => image,
        kept => {
            let lists = Lists { apt: store.join("apt").join(kernel.suite), suite: kernel.suite };
            match (newest(kernel, &lists), kept) {
                (Ok(newest), Some(kept)) if newest.version == kept.version => {
                    // Looked at anew: for a day that is enough.
                    fs::write(stamp, &kept.version)?;
                    kept
                }
                (Ok(newest), _) => newest.fetch(&lists, &folder)?,
                (Err(error), Some(kept)) => {
                    println!("vm: cannot look for a newer kernel {}: {error:#}", kernel.name);
                    kept
                }
                (Err(error), None) => return Err(error.context(format!("cannot get kernel {}", kernel.name))),
            }
        }
    };
    println!("vm: kernel {} is {}", kernel.name, image.version);
    Ok(image)
}

fn is_fresh(file: &Path) -> bool {
    let age = fs::metadata(file).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age < FRESH)
}

/// Package lists of one suite, apart from the machine's own.
struct Lists {
    apt: PathBuf,
    suite: &'static str,
}

impl Lists {
    /// apt's programs, with these lists.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = |option: &str, name: &str| format!("{option}={}", self.apt.join(name).display());
        let options = [
            folder("Dir::Etc::sourcelist", "sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            folder("Dir::State::lists", "lists"),
            folder("Dir::Cache", "cache"),
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::GzipIndexes=true".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "APT::Sandbox::User=".to_owned(),
        ];
        command.arg("-qq").args(options.iter().flat_map(|option| ["-o", option]));
        command
    }

    fn update(&self) -> Result<()> {
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.apt.join(folder))?;
        }
        let stamp = self.apt.join("updated");
        if is_fresh(&stamp) {
            return Ok(());
        }
        ensure!(Path::new(KEYRING).is_file(), "there is no {KEYRING}: install debian-archive-keyring");
        let mirror = mirror("/debian").unwrap_or_else(|| MIRROR.to_owned());
        let mut sources = format!("deb [signed-by={KEYRING}] {mirror} {} main\n", self.suite);
        if WITH_SECURITY.contains(&self.suite) {
            let security = mirror_of_security(&mirror);
            sources += &format!("deb [signed-by={KEYRING}] {security} {}-security main\n", self.suite);
        }
        fs::write(self.apt.join("sources.list"), sources)?;
        println!("vm: asking for the packages of {}", self.suite);
        shell::quietly(self.command("apt-get").arg("update"))?;
        Ok(fs::write(stamp, "")?)
    }

    /// A package's field, as the newest version has it.
    fn field(&self, package: &str, field: &str) -> Result<String> {
        let mut show = self.command("apt-cache");
        let text = shell::text(show.args(["--no-all-versions", "show", package]))?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        Ok(value.with_context(|| format!("package {package} has no {field}"))?.to_owned())
    }

    /// Packages that another depends on.
    fn depends(&self, package: &str) -> Result<Vec<String>> {
        let list = self.field(package, "Depends")?;
        Ok(list
            .split([',', '|'])
            .filter_map(|one| one.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }
}

/// The mirror that this machine uses for an archive whose address ends so.
fn mirror(end: &str) -> Option<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let text = shell::text(&mut targets).ok()?;
    text.lines().map(|line| line.trim_end_matches('/')).find(|line| line.ends_with(end)).map(str::to_owned)
}

fn mirror_of_security(mirror: &str) -> String {
    self::mirror("/debian-security").unwrap_or_else(|| format!("{mirror}-security"))
}

/// The packages of a kernel's newest image.
struct Newest {
    name: &'static str,
    version: String,
    packages: Vec<String>,
}

fn newest(kernel: &Kernel, lists: &Lists) -> Result<Newest> {
    lists.update()?;
    let depends = lists.depends(kernel.package)?;
    let image = depends.into_iter().find(|name| name.starts_with("linux-image-"));
    let image = image.with_context(|| format!("package {} names no image", kernel.package))?;
    let version = lists.field(&image, "Version")?;
    if !version.starts_with(kernel.version) {
        bail!("{} has {version} now: use --kernel newest", kernel.suite);
    }
    // Newer Debians split an image: modules and the image itself are packages that it depends on.
    let parts = ["linux-base-", "linux-binary-", "linux-modules-"];
    let is_part = |name: &String| parts.iter().any(|part| name.starts_with(part));
    let mut packages: Vec<_> = lists.depends(&image)?.into_iter().filter(is_part).collect();
    packages.push(image.clone());
    Ok(Newest { name: kernel.name, version: format!("{version} ({})", modules::LIST), packages })
}

impl Newest {
    /// Downloads and unpacks, and keeps the needed files in `folder`.
    fn fetch(&self, lists: &Lists, folder: &Path) -> Result<Image> {
        println!("vm: downloading kernel {}: {}", self.name, self.packages.join(", "));
        let work = tempfile::tempdir_in(folder.parent().context("no folder for kernels")?)?;
        let (debs, whole, kept) =
            (work.path().join("debs"), work.path().join("whole"), work.path().join("kept"));
        for folder in [&debs, &whole, &kept] {
            fs::create_dir(folder)?;
        }
        shell::quietly(lists.command("apt-get").arg("download").args(&self.packages).current_dir(&debs))?;
        for deb in fs::read_dir(&debs)? {
            shell::quietly(Command::new("dpkg-deb").arg("-x").arg(deb?.path()).arg(&whole))?;
        }
        modules::keep(&whole, &kept)?;
        fs::write(kept.join("version"), &self.version)?;
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::rename(&kept, folder)?;
        Image::at(folder).context("the unpacked kernel is not whole")
    }
}
