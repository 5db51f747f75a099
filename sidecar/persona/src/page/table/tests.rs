use super::*;

#[test]
fn numbers_are_aligned_to_the_right_and_text_to_the_left() {
    let rows = [vec!["−2.0", "1.5", "Yes."], vec!["0.0", "−3", "2 of them."]];
    let columns = [Column::Number("Coefficient"), Column::Number("Score"), Column::Text("Answer")];
    let table = table(&columns, &rows, None).into_string();
    assert!(table.contains("<th>Score</th><th class=\"text\">Answer</th>"), "{table}");
    assert!(table.contains("<td>−3</td><td class=\"text\">2 of them.</td>"), "{table}");
}
