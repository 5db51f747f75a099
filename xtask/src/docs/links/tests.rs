use super::*;

/// Problems of these pages, where only they and LICENSE exist.
fn of(pages: &[(&str, &str)]) -> Vec<String> {
    let files = pages.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect();
    problems(&files, |path| path == "LICENSE" || pages.iter().any(|(page, _)| *page == path))
}

#[test]
fn links_to_files_and_headings_are_fine() {
    let problems = of(&[
        ("README.md", "[a](docs/a.md#the-servers-api-v1) [b](LICENSE) [c](#top)\n# Top"),
        ("docs/SUMMARY.md", "- [A](a.md)"),
        (
            "docs/a.md",
            "## The server's API (`v1`)\n\nhttps://a.b/ [w](https://a.b/c#d)\n\n```\n[x](y)\n```",
        ),
    ]);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn a_file_that_is_named_exists() {
    let page = "`crds/gone.rs`, `crds/arch/NAME.rs`, `tests/*.yaml`, `LICENSE`, `docs/a.md`";
    assert_eq!(of(&[("README.md", page)]), ["README.md: `crds/gone.rs` is no file"]);
}

#[test]
fn a_file_that_is_named_in_a_table_of_a_folder_exists_there() {
    let table = "**In `crds/`**\n\n| folder | does |\n| --- | --- |\n\
                 | `gone/`, `gone.rs` | `other/` |\n\n`mod/`";
    let problems = of(&[("README.md", table)]);
    let gone = ["crds/", "crds/gone/", "crds/gone.rs"];
    assert_eq!(problems, gone.map(|path| format!("README.md: `{path}` is no file")));
}

#[test]
fn a_heading_that_stands_twice_has_two_anchors() {
    let page = "# A\n\n## B\n\n## B\n\n[1](#b) [2](#b-1)";
    assert!(of(&[("README.md", page)]).is_empty());
    assert_eq!(of(&[("README.md", "# A\n\n[1](#a-1)")]).len(), 1);
}

#[test]
fn what_leads_nowhere_is_told_with_its_page() {
    let problems = of(&[
        ("README.md", "[a](docs/b.md) [b](docs/a.md#gone)"),
        ("docs/SUMMARY.md", "- [A](a.md)"),
        ("docs/a.md", "# A\n\n[up](../README.md)"),
        ("docs/lost.md", "# Lost"),
    ]);
    for (problem, start) in problems.iter().zip([
        "README.md: docs/b.md leads to no file",
        "README.md: docs/a.md#gone leads to no heading",
        "docs/a.md: ../README.md leads out of the book",
        "docs/SUMMARY.md does not name docs/lost.md",
    ]) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(problems.len(), 4, "{problems:?}");
}
