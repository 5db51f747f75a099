use super::*;

#[test]
fn one_line_per_sample_without_text() {
    let sample =
        |(line, answer)| SampleScores { line, answer, reference: 0.0, likelihood_ratio: None };
    let scores = [vec![sample((4, 0.5)), sample((9, 2.0))]];
    let ranks = Ranks::new(&["evil"], ReferenceWeight::Fitted, &scores);
    let text = ranks.lines();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["line"], 9);
    assert_eq!(first["traits"]["evil"]["rank"], 1);
    assert_eq!(first["traits"]["evil"]["projectionDifference"], 2.0);
    let names: Vec<String> = ranks.columns().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[..3], ["line", "evil_projection_difference", "evil_rank"]);
    assert!(matches!(&ranks.columns()[2].1, Column::Integer(ranks) if ranks == &[1, 2]));
}
