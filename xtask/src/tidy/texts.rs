//! Texts of the project name no path of the machine they were written on, the manual's index has every page, and
//! recipes name files that are there.

use super::{Findings, Known, Tree};

/// Folders of one machine or user.
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/tmp/br", "ief")];
/// The manual's index, and its folder.
const INDEX: &str = "flowxdp/manual/README.md";
const MANUAL: &str = "flowxdp/manual/";
/// Pages whose paths must be there, since readers follow them.
const RECIPES: [&str; 2] = ["CONTRIBUTING.md", "SECURITY.md"];

pub(super) fn machine_paths(tree: &Tree, _: &Known) -> Findings {
    let sources = tree.sources.iter().map(|source| (&source.path, &source.text));
    let texts = tree.texts.iter().map(|(path, text)| (path, text));
    let mut findings = Findings::default();
    for (path, text) in sources.chain(texts) {
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = MACHINE.iter().find(|folder| line.contains(**folder)) {
                findings.faults.push(format!("{path}:{}: {folder} is a path of one machine", number + 1));
            }
        }
    }
    findings
}

pub(super) fn index(tree: &Tree, _: &Known) -> Findings {
    let text = tree.text(INDEX).unwrap_or_default();
    let pages = tree.texts.iter().filter_map(|(path, _)| path.strip_prefix(MANUAL));
    let pages = pages.filter(|page| page.ends_with(".md") && !page.contains('/') && *page != "README.md");
    // `- [Title](page.md): a sentence.`
    let listed = |page: &str| {
        text.lines()
            .any(|line| line.split_once(&format!("]({page}): ")).is_some_and(|(_, why)| why.len() > 10))
    };
    let faults = pages.filter(|page| !listed(page));
    let faults =
        faults.map(|page| format!("{INDEX}: {page} is missing: add `- [Title]({page}): a sentence`"));
    Findings { faults: faults.collect(), notes: Vec::new() }
}

pub(super) fn recipes(tree: &Tree, _: &Known) -> Findings {
    let sources = tree.sources.iter().map(|source| source.path.as_str());
    let paths: Vec<&str> = sources.chain(tree.texts.iter().map(|(path, _)| path.as_str())).collect();
    let is_there =
        |path: &str| paths.iter().any(|found| *found == path || found.starts_with(&format!("{path}/")));
    let mut findings = Findings::default();
    for (page, text) in tree.texts.iter().filter(|(path, _)| RECIPES.contains(&path.as_str())) {
        for (number, line) in text.lines().enumerate() {
            // Every second part stands between backticks.
            let quoted = line.split('`').skip(1).step_by(2);
            let named = quoted.filter(|word| {
                word.contains('/') && !word.starts_with('/') && !word.contains([' ', ':', '$'])
            });
            findings.faults.extend(named.filter(|path| !is_there(path)).map(|path| {
                format!("{page}:{}: there is no {path}: name the file that has its job now", number + 1)
            }));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_path_is_found() {
        let line = format!("See {}a.\n", MACHINE[1]);
        let tree = Tree::of(&[("README.md", line.as_str()), ("a/src/a.rs", "//! A.\nlet a = \"/tmp/a\";\n")]);
        let found = machine_paths(&tree, &Known::default()).faults;
        assert!(found.len() == 1 && found[0].starts_with("README.md:1:"), "{found:?}");
    }

    #[test]
    fn a_recipe_for_a_file_that_is_gone_is_found() {
        let tree = Tree::of(&[
            (
                "CONTRIBUTING.md",
                "A row in `a/src/a.rs`, see `a/src`.\nThen `a/src/gone.rs`, `cargo test a/b`.\n",
            ),
            ("a/src/a.rs", "//! A.\n"),
        ]);
        let found = recipes(&tree, &Known::default()).faults;
        assert!(
            found.len() == 1 && found[0].starts_with("CONTRIBUTING.md:2: there is no a/src/gone.rs"),
            "{found:?}"
        );
    }

    #[test]
    fn a_page_that_the_index_lacks_is_found() {
        let tree = Tree::of(&[
            (
                "flowxdp/manual/README.md",
                "- [Attach](attach.md): interfaces and programs.\n- [B](books.md): \n",
            ),
            ("flowxdp/manual/attach.md", ""),
            ("flowxdp/manual/books.md", ""),
        ]);
        let found = index(&tree, &Known::default()).faults;
        assert!(found.len() == 1 && found[0].contains("books.md is missing"), "{found:?}");
    }
}
