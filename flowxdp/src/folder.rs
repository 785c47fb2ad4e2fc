//! A folder of the agent's own: of a spool, of the status socket, of pins.
//!
//! Another user may plant a symbolic link where the agent expects its folder, or swap one for another. So a
//! folder is opened once, without following a link of another user, its owner is checked, and everything in
//! it is used by its descriptor (openat(2)).

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, ensure};
use rustix::{
    fs::{
        AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat, fchmod, flock, fstat,
        mkdirat, open, openat, readlinkat, renameat_with, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use crate::file::named;

/// Only the agent's user enters a folder that the agent makes.
const MODE: Mode = Mode::RWXU;

/// Symbolic links that lead to one another, at most.
const LINKS: u32 = 8;

/// The permitted owners of an existing folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The agent's user's, or root's.
    AgentOrRoot,
    /// The same; and any user's where the agent runs as root.
    AnyForRoot,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
    path: PathBuf,
    made: bool,
}

impl Folder {
    /// Opens the folder at `path`, which is made with the ones above it where there is none, mode 0700. A
    /// symbolic link is followed where it is root's or the agent's user's.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or opened, or belongs to another user.
    pub fn open(path: &Path, owner: Owner) -> anyhow::Result<Self> {
        let what = || format!("cannot use the folder {}", path.display());
        let (place, made) = place(path).with_context(what)?;
        Self::enter(&place, OsStr::new("."), path, made, owner).with_context(what)
    }

    /// A folder that has no path, and is reached by its descriptor's name in /proc.
    pub fn opened(folder: OwnedFd) -> Self {
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        Self { folder, path, made: false }
    }

    /// Opens the folder at `path`; none where there is none.
    ///
    /// # Errors
    ///
    /// As [`Folder::open`].
    pub fn find(path: &Path, owner: Owner) -> anyhow::Result<Option<Self>> {
        let what = || format!("cannot use the folder {}", path.display());
        match find(path, LINKS) {
            Err(error) if is_absent(&error) => Ok(None),
            found => Self::enter(&found.with_context(what)?, OsStr::new("."), path, false, owner)
                .with_context(what)
                .map(Some),
        }
    }

    /// Opens the folder `name` in the folder at `above`, as [`Folder::open`], but follows no link, and asks for
    /// the agent's user or root as its owner.
    ///
    /// # Errors
    ///
    /// As [`Folder::open`].
    pub fn open_in(above: &Path, name: &str) -> anyhow::Result<Self> {
        let path = above.join(name);
        let what = || format!("cannot use the folder {}", path.display());
        let (place, _) = place(above).with_context(what)?;
        let made = make(&place, OsStr::new(name)).with_context(what)?;
        Self::enter(&place, OsStr::new(name), &path, made, Owner::AgentOrRoot).with_context(what)
    }

    /// Opens the folder `name` in this one.
    ///
    /// # Errors
    ///
    /// There is no such folder, or another kind of file.
    pub fn sub(&self, name: &str) -> anyhow::Result<Self> {
        Self::enter(&self.folder, OsStr::new(name), &self.path.join(name), false, Owner::AnyForRoot)
    }

    /// Makes the folder `name` in this one, mode 0700.
    ///
    /// # Errors
    ///
    /// mkdirat(2)'s, also where there is one.
    pub fn make(&self, name: &str) -> anyhow::Result<Self> {
        let made = make(&self.folder, OsStr::new(name))?;
        ensure!(made, "it is there already");
        Self::enter(&self.folder, OsStr::new(name), &self.path.join(name), true, Owner::AgentOrRoot)
    }

    fn enter(place: &impl AsFd, name: &OsStr, path: &Path, made: bool, owner: Owner) -> anyhow::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(place, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => {
                anyhow!("it is a symbolic link or another kind of file: remove it")
            }
            error => io::Error::from(error).into(),
        })?;
        let state = fstat(&folder)?;
        let of = state.st_uid;
        let is_fine = is_trusted(of) || (owner == Owner::AnyForRoot && geteuid().is_root());
        ensure!(
            is_fine,
            "it belongs to user {of}, and must be user {}'s: name another one, or `chown` it",
            geteuid().as_raw()
        );
        Ok(Self { folder, path: path.to_owned(), made })
    }

    /// Its path, for messages, and for calls of the kernel that take no descriptor.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was made just now.
    pub const fn was_made(&self) -> bool {
        self.made
    }

    /// Whether the folder is empty.
    ///
    /// # Errors
    ///
    /// getdents(2)'s.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.names()?.is_empty())
    }

    /// The names in it, in order.
    ///
    /// # Errors
    ///
    /// getdents(2)'s.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The state of the file of this name, a symbolic link's own; none where there is none.
    ///
    /// # Errors
    ///
    /// fstatat(2)'s.
    pub fn state(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(state) => Ok(Some(state)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file of the agent's user's or root's; with [`OFlags::CREATE`] it is made, mode 0600.
    ///
    /// # Errors
    ///
    /// openat(2)'s; `InvalidInput` where that name is another kind of file or belongs to another user.
    pub fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let strange = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let file =
            openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
                Errno::LOOP => strange("it is a symbolic link".to_owned()),
                Errno::ISDIR | Errno::NXIO | Errno::NODEV => strange("it is no regular file".to_owned()),
                error => error.into(),
            })?;
        let state = fstat(&file)?;
        let kind = FileType::from_raw_mode(state.st_mode);
        if kind != FileType::RegularFile {
            return Err(strange(format!("it is {}, and no regular file", named(kind))));
        }
        if !is_trusted(state.st_uid) {
            return Err(strange(format!("it belongs to user {}", state.st_uid)));
        }
        Ok(File::from(file))
    }

    /// Removes a name that is no folder's.
    ///
    /// # Errors
    ///
    /// unlinkat(2)'s.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    /// Removes an empty folder in it.
    ///
    /// # Errors
    ///
    /// unlinkat(2)'s.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.folder, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes this folder, which must be empty, if its path still leads to it.
    ///
    /// # Errors
    ///
    /// unlinkat(2)'s.
    pub fn remove_itself(&self) -> io::Result<()> {
        let (Some(above), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (place, ours) = (place(above).map_err(io::Error::other)?.0, fstat(&self.folder)?);
        let there = statat(&place, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(unlinkat(&place, name, AtFlags::REMOVEDIR)?)
    }

    /// Gives this folder another name in the folder at `above`, if its path still leads to it.
    ///
    /// # Errors
    ///
    /// renameat2(2)'s, also where there is a folder of that name.
    pub fn rename_in(&mut self, above: &Path, name: &OsStr) -> io::Result<()> {
        let place = place(above).map_err(io::Error::other)?.0;
        let before = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        renameat_with(&place, before, &place, name, RenameFlags::NOREPLACE)?;
        self.path = above.join(name);
        Ok(())
    }

    /// Lets only the agent's user enter the folder.
    ///
    /// # Errors
    ///
    /// fchmod(2)'s.
    pub fn close_to_others(&self) -> io::Result<()> {
        let mode = Mode::from_raw_mode(fstat(&self.folder)?.st_mode);
        if mode == MODE { Ok(()) } else { Ok(fchmod(&self.folder, MODE)?) }
    }

    /// Locks the folder as long as this value lives; false where another process has the lock.
    ///
    /// # Errors
    ///
    /// flock(2)'s.
    pub fn try_lock(&self) -> io::Result<bool> {
        match flock(&self.folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Whether files of a user may be relied on.
fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// The folder at `path`, to find names in, made with its parents where there is none; whether it was made.
/// Any user may own the folder, but a symbolic link there must be trusted.
fn place(path: &Path) -> anyhow::Result<(OwnedFd, bool)> {
    let path: PathBuf = path.components().collect();
    match find(&path, LINKS) {
        Err(error) if is_absent(&error) => {}
        found => return Ok((found?, false)),
    }
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok((find(&path, LINKS)?, false));
    };
    let (above, _) = place(above)?;
    let made = make(&above, name)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok((openat(&above, name, flags, Mode::empty()).map_err(io::Error::from)?, made))
}

fn is_absent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Opens an existing folder. The link is opened before its owner is checked, so that no other process can swap it
/// in between.
fn find(path: &Path, links: u32) -> anyhow::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    let state = fstat(&found)?;
    match FileType::from_raw_mode(state.st_mode) {
        FileType::Directory => Ok(found),
        FileType::Symlink => {
            let (shown, user) = (path.display(), state.st_uid);
            ensure!(is_trusted(user), "{shown} is a symbolic link of user {user}: name the folder itself");
            ensure!(links > 0, "{shown} leads from link to link");
            let target = readlinkat(&found, "", Vec::new()).map_err(io::Error::from)?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            find(&path.parent().unwrap_or(Path::new("/")).join(target), links - 1)
        }
        kind => Err(anyhow!("{} is {}, and no folder", path.display(), named(kind))),
    }
}

/// Makes a folder; false where the name is taken.
fn make(above: &impl AsFd, name: &OsStr) -> io::Result<bool> {
    match mkdirat(above, name, MODE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
