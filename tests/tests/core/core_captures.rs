//! The committed captures equal those that the code in the tree makes, and so does their truth.
//!
//! `FLOWXDP_REWRITE=1` writes them again. Recorded captures have no code that makes them; for them the truth
//! must be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flowxdp_tests::committed::rewrites;
use flowxdp_tests::craft::truth::{Seen, truth};
use flowxdp_tests::craft::{CaptureFile, Verdict, catalogue};

/// All captures together, so that a clone stays small.
const MOST_OCTETS: u64 = 1_500_000;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// Path below the directory of captures, and contents.
fn made() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for CaptureFile { name, octets, frames } in catalogue() {
        let seen: Vec<Seen> = frames
            .iter()
            .map(|frame| Seen {
                time_ns: frame.time(),
                link: frame.link,
                cut: frame.data.len() < frame.wire as usize,
                verdict: frame.verdict,
            })
            .collect();
        for (file, text) in truth(name, &seen) {
            files.insert(format!("truth/{file}"), text.into_bytes());
        }
        assert!(files.insert(name.into(), octets).is_none(), "two captures are called {name}");
    }
    files
}

#[test]
fn the_committed_captures_are_what_the_code_makes() {
    let directory = directory();
    let mut differing = Vec::new();
    for (name, contents) in made() {
        let path = directory.join(&name);
        if fs::read(&path).ok().as_ref() == Some(&contents) {
            continue;
        }
        if rewrites() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, contents).unwrap();
        } else {
            differing.push(name);
        }
    }
    assert!(differing.is_empty(), "FLOWXDP_REWRITE=1 writes these again: {differing:?}");
}

#[test]
fn every_committed_file_is_made_or_recorded_and_has_its_truth() {
    let made = made();
    let mut octets = 0;
    for folder in ["", "truth/"] {
        for entry in fs::read_dir(directory().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}{}", entry.file_name().to_str().unwrap());
            if name == "truth" {
                continue;
            }
            octets += entry.metadata().unwrap().len();
            let recorded = name.trim_start_matches("truth/").starts_with("recorded-");
            // Facts were computed once, by a program that is not this project's.
            let facts = [".facts.csv", ".inner.csv", ".joined.csv"]
                .into_iter()
                .find_map(|ending| name.strip_prefix("truth/")?.strip_suffix(ending));
            let has_facts = |stem| made.contains_key(&format!("truth/{stem}.5.csv"));
            let known = recorded || made.contains_key(&name) || facts.is_some_and(has_facts);
            assert!(known, "nothing makes {name}");
            if let Some((stem, "pcap" | "pcapng")) = name.rsplit_once('.') {
                for ending in ["5.csv", "vlan.csv", "ignored.json"] {
                    let truth = directory().join(format!("truth/{stem}.{ending}"));
                    assert!(truth.exists(), "there is no {}", truth.display());
                }
            }
        }
    }
    assert!(octets < MOST_OCTETS, "{octets} octets of captures");
}

#[test]
fn every_verdict_and_every_link_type_is_in_the_catalogue() {
    let frames: Vec<_> = catalogue().into_iter().flat_map(|file| file.frames).collect();
    for link in [0, 1, 9, 12, 14, 50, 101, 108, 113, 228, 229, 276] {
        let metered = |frame: &&flowxdp_tests::craft::Frame| {
            frame.link == link && matches!(frame.verdict, Verdict::Metered(_))
        };
        assert!(frames.iter().any(|frame| metered(&frame)), "link type {link} has no packet");
    }
    assert!(frames.iter().all(|frame| !frame.story.is_empty()));
}
