//! Comments are short, and their sentences have nouns of the field as subjects.
//!
//! Both are figures over all files with a ceiling that may only fall.

use super::tree::Source;
use super::{Findings, Known, Tree, known::FILE};

/// The ceilings' names.
const LENGTH: &str = "words-a-comment";
const WHAT: &str = "what-in-1000-words";
const PRONOUNS: &str = "pronoun-subjects-in-1000-sentences";

/// Words that stand for a noun that the sentence should name.
const SUBJECTS: [&str; 9] =
    ["what", "it", "those", "nobody", "somebody", "whoever", "whatever", "everything", "something"];

pub(super) fn length(tree: &Tree, known: &Known) -> Findings {
    let blocks: Vec<String> = tree.sources.iter().flat_map(blocks).collect();
    let words: usize = blocks.iter().map(|block| words(block).count()).sum();
    held(known, LENGTH, rate(words, blocks.len()), "shorten comments to the reason")
}

pub(super) fn subjects(tree: &Tree, known: &Known) -> Findings {
    let blocks: Vec<String> = tree.sources.iter().flat_map(blocks).collect();
    let all = blocks.iter().flat_map(|block| words(block));
    let (whats, count) =
        all.fold((0, 0), |(whats, all), word| (whats + usize::from(is(word, "what")), all + 1));
    let sentences = || blocks.iter().flat_map(|block| sentences(block));
    let poor = sentences().filter(|first| SUBJECTS.iter().any(|subject| is(first, subject))).count();
    let remedy = "name the packet, record, slot or socket that a sentence is about";
    let mut findings = held(known, WHAT, rate(1000 * whats, count), remedy);
    let more = held(known, PRONOUNS, rate(1000 * poor, sentences().count()), remedy);
    findings.faults.extend(more.faults);
    findings.notes.extend(more.notes);
    findings
}

fn rate(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Compares a figure with its ceiling.
fn held(known: &Known, name: &str, found: f64, remedy: &str) -> Findings {
    let (ceiling, shown) = (known.ceiling(name), (found * 10.0).round() / 10.0);
    if shown > ceiling {
        let fault = format!("comments: {name} is {shown}, above the {ceiling} of {FILE}: {remedy}");
        return Findings { faults: vec![fault], notes: Vec::new() };
    }
    let slack = if shown < ceiling { format!("; {FILE} allows {ceiling}") } else { String::new() };
    Findings { faults: Vec::new(), notes: vec![format!("{name}: {shown}{slack}")] }
}

/// Comments: lines that follow each other are one.
fn blocks(source: &Source) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut last = None;
    for line in &source.comments {
        match blocks.last_mut() {
            Some(block) if last == Some(line.number - 1) => {
                block.push(' ');
                block.push_str(&line.text);
            }
            _ => blocks.push(line.text.clone()),
        }
        last = Some(line.number);
    }
    blocks
}

fn words(block: &str) -> impl Iterator<Item = &str> {
    block.split_whitespace().filter(|word| word.contains(char::is_alphabetic))
}

/// The first word of each sentence.
fn sentences(block: &str) -> impl Iterator<Item = &str> {
    let mut begins = true;
    words(block).filter(move |word| {
        let first = begins;
        begins = word.ends_with(['.', ':', ';', '?']);
        first
    })
}

fn is(word: &str, wanted: &str) -> bool {
    word.trim_matches(|next: char| !next.is_alphanumeric()).eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, ceiling: f64) -> Known {
        Known { ceilings: [(name.to_owned(), ceiling)].into(), ..Known::default() }
    }

    #[test]
    fn long_comments_are_found() {
        let tree =
            Tree::of(&[("a/src/a.rs", "//! One two three\n//! four.\n\nfn f() {} // Five, 6 seven.\n")]);
        assert_eq!(length(&tree, &known(LENGTH, 2.9)).faults.len(), 1);
        assert_eq!(length(&tree, &known(LENGTH, 3.0)).faults, [""; 0]);
    }

    #[test]
    fn sentences_without_a_noun_are_found() {
        let tree = Tree::of(&[(
            "a/src/a.rs",
            "//! What is left. A slot is what it was; it stays.\nlet what = 1;\n",
        )]);
        let found = subjects(&tree, &Known::default()).faults;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("what-in-1000-words is 181.8"), "{found:?}");
        assert!(found[1].contains("is 666.7"), "{found:?}");
    }
}
