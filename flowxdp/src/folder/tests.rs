//! Folders of the agent: their owners, planted files in them, and their modes.

use super::{Folder, Owner};
use rustix::fs::{CWD, Mode, OFlags, chownat, mkfifoat};
use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn give_away(path: &Path) {
    let user = rustix::fs::Uid::from_raw(NOBODY);
    chownat(CWD, path, Some(user), None, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[test]
fn folders_are_made_for_one_user_and_say_so() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("a/b/c");
    let folder = Folder::open(&path, Owner::AgentOrRoot).unwrap();
    assert!(folder.was_made() && folder.is_empty().unwrap());
    for made in [path.as_path(), path.parent().unwrap(), &top.path().join("a")] {
        assert_eq!(mode(made), 0o700, "{}", made.display());
    }
    assert!(!Folder::open(&path, Owner::AgentOrRoot).unwrap().was_made());
    folder.remove_itself().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_planted_link_is_refused_and_what_it_leads_to_stays_as_it_is() {
    let top = tempfile::tempdir().unwrap();
    let victim = top.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::set_permissions(&victim, Permissions::from_mode(0o755)).unwrap();
    symlink(&victim, top.path().join("planted")).unwrap();
    let error = format!("{:#}", Folder::open_in(top.path(), "planted").unwrap_err());
    assert!(error.contains("planted") && error.contains("symbolic link"), "{error}");
    assert_eq!(mode(&victim), 0o755);
    if is_root() {
        // Another user's is followed nowhere, not on the way either.
        give_away(&top.path().join("planted"));
        for path in ["planted", "planted/."] {
            let error = Folder::open(&top.path().join(path), Owner::AgentOrRoot).unwrap_err();
            assert!(format!("{error:#}").contains("symbolic link of user 65534"), "{error:#}");
        }
        assert!(Folder::open_in(&top.path().join("planted"), "new").is_err());
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    }
}

#[test]
fn a_link_of_our_own_is_followed() {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("disk")).unwrap();
    symlink("disk", top.path().join("link")).unwrap();
    let folder = Folder::open(&top.path().join("link/spool"), Owner::AgentOrRoot).unwrap();
    assert!(folder.was_made() && top.path().join("disk/spool").is_dir());
    symlink("round", top.path().join("round")).unwrap();
    assert!(Folder::open(&top.path().join("round"), Owner::AgentOrRoot).is_err());
}

#[test]
fn a_folder_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("theirs");
    fs::create_dir(&path).unwrap();
    give_away(&path);
    let error = format!("{:#}", Folder::open(&path, Owner::AgentOrRoot).unwrap_err());
    assert!(error.contains("theirs") && error.contains("user 65534") && error.contains("chown"), "{error}");
    assert!(Folder::open_in(top.path(), "theirs").is_err());
    Folder::open(&path, Owner::AnyForRoot).unwrap();
    // A folder of ours in one of theirs is ours.
    Folder::open_in(&path, "ours").unwrap();
}

#[test]
fn only_a_regular_file_of_ours_is_opened() {
    let top = tempfile::tempdir().unwrap();
    let folder = Folder::open(top.path(), Owner::AgentOrRoot).unwrap();
    let open = |name: &str| folder.file(name, OFlags::RDWR).map(drop).map_err(|error| error.kind());
    drop(folder.file("made", OFlags::RDWR | OFlags::CREATE).unwrap());
    assert_eq!(mode(&top.path().join("made")), 0o600);
    open("made").unwrap();
    symlink("made", top.path().join("link")).unwrap();
    mkfifoat(CWD, top.path().join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    fs::create_dir(top.path().join("folder")).unwrap();
    for name in ["link", "fifo", "folder"] {
        assert_eq!(open(name), Err(io::ErrorKind::InvalidInput), "{name}");
    }
    assert_eq!(open("absent"), Err(io::ErrorKind::NotFound));
    if is_root() {
        give_away(&top.path().join("made"));
        assert_eq!(open("made"), Err(io::ErrorKind::InvalidInput));
    }
}

#[test]
fn everything_goes_by_descriptor_when_the_folder_is_swapped() {
    let top = tempfile::tempdir().unwrap();
    let (path, moved) = (top.path().join("folder"), top.path().join("moved"));
    let folder = Folder::open(&path, Owner::AgentOrRoot).unwrap();
    fs::rename(&path, &moved).unwrap();
    fs::create_dir(&path).unwrap();
    drop(folder.file("file", OFlags::RDWR | OFlags::CREATE).unwrap());
    assert!(moved.join("file").exists() && !path.join("file").exists());
    folder.remove(OsStr::new("file")).unwrap();
    folder.remove_itself().unwrap_err();
    assert!(path.exists(), "another folder was removed");
}

#[test]
fn one_has_the_lock() {
    let top = tempfile::tempdir().unwrap();
    let open = || Folder::open(top.path(), Owner::AgentOrRoot).unwrap();
    let (one, two) = (open(), open());
    assert!(one.try_lock().unwrap() && !two.try_lock().unwrap());
    drop(one);
    assert!(two.try_lock().unwrap());
}
