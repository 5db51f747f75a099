//! Links between pages: every relative link leads to a file, and every anchor to a heading. Files
//! that pages name in code exist, too.

mod page;

use crate::files::Files;
use page::Page;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The folder of the book, and its table of contents.
const BOOK: &str = "docs/";
const CONTENTS: &str = "docs/SUMMARY.md";
/// Folders by which a code span is known as the path of a file.
const FOLDERS: [&str; 7] =
    ["charts/", "crds/", "fuzz/", "operator/", "sidecar/", "tests/", "xtask/"];

/// What is wrong with the links of these pages. A page of the book links only to pages of the book,
/// since nothing else is there once it is built; and its table of contents names every page.
pub(super) fn problems<'a>(files: &'a Files, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let read = |(path, text): (&'a PathBuf, &'a String)| Some((path.to_str()?, Page::read(text)));
    let pages: BTreeMap<&str, Page> = files.iter().filter_map(read).collect();
    let mut problems = Vec::new();
    let mut contents = BTreeSet::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| is_local(link)) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { (*path).to_owned() } else { join(path, target) };
            if *path == CONTENTS {
                contents.insert(target.clone());
            }
            let problem = if path.starts_with(BOOK) && !target.starts_with(BOOK) {
                "leads out of the book: name the file in backticks instead"
            } else if !exists(&target) {
                "leads to no file"
            } else if !anchor.is_empty()
                && pages.get(target.as_str()).is_some_and(|page| !page.anchors.contains(anchor))
            {
                "leads to no heading"
            } else {
                continue;
            };
            problems.push(format!("{path}: {link} {problem}"));
        }
        let named = page.code.iter().filter(|code| is_path(code));
        let missing = named.filter(|code| !exists(code));
        problems.extend(missing.map(|code| format!("{path}: `{code}` is no file")));
    }
    let missing = pages
        .keys()
        .filter(|path| path.starts_with(BOOK) && **path != CONTENTS && !contents.contains(**path));
    problems.extend(missing.map(|path| format!("{CONTENTS} does not name {path}")));
    problems
}

/// Whether a link leads to a file of the repository.
fn is_local(link: &str) -> bool {
    let scheme = link.split(['/', '#']).next().unwrap_or_default();
    !scheme.contains(':')
}

/// Whether a code span is the path of a file of the repository, and no pattern or command.
fn is_path(code: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    FOLDERS.iter().any(|folder| code.starts_with(folder))
        && code.chars().all(plain)
        && !code.contains("NAME")
}

/// The path that a relative link of a page leads to.
fn join(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests;
