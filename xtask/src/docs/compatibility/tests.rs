use super::*;

#[test]
fn every_entry_is_a_row_of_the_page() {
    let page = page().unwrap();
    let rows = page.lines().filter(|line| line.ends_with(" |") && line.contains(" 0.")).count();
    let mut entries = 0;
    for section in requests().unwrap() {
        entries += section.entries.len();
    }
    for name in FILES {
        entries += files(name).unwrap().entries.len();
    }
    assert_eq!(rows, entries);
    assert!(page.lines().all(|line| line.starts_with('|') || line.chars().count() <= 100));
}

#[test]
fn a_sentence_cannot_break_its_table() {
    assert_eq!(escaped("a | b < c * \\"), "a \\| b &lt; c \\* \\\\");
}
