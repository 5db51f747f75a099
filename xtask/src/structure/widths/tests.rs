use super::check;
use crate::files::Files;

fn errors(path: &str, line: &str) -> Vec<String> {
    check(&Files::from([(path.into(), format!("short\n{line}\nshort"))]))
}

#[test]
fn a_line_of_more_than_100_columns_is_an_error_in_code_and_on_pages() {
    for path in ["a.rs", "a.py", "a.md"] {
        assert!(errors(path, &"x".repeat(100)).is_empty());
        assert_eq!(errors(path, &"x".repeat(101)), [format!("{path}:2: 101 columns, at most 100")]);
    }
}

#[test]
fn columns_are_characters_not_bytes() {
    assert!(errors("a.rs", &"→".repeat(100)).is_empty());
    assert_eq!(errors("a.rs", &"→".repeat(101)).len(), 1);
}

#[test]
fn tables_on_pages_and_urls_anywhere_may_be_wider() {
    let row = format!("| {} |", "x".repeat(200));
    assert!(errors("a.md", &row).is_empty());
    assert_eq!(errors("a.rs", &row).len(), 1);
    let url = format!("https://example.com/{}", "x".repeat(200));
    assert!(errors("a.rs", &format!("// See {url} for more.")).is_empty());
    assert_eq!(errors("a.rs", &format!("// See {url} for {}.", "x".repeat(100))).len(), 1);
}
