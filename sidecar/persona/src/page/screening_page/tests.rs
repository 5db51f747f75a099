use super::*;
use crate::screening::{ScreenedSample, rank};

#[test]
fn the_page_lists_the_largest_differences_and_escapes_markup() {
    let mut samples: Vec<ScreenedSample> = (1..=100)
        .map(|line| ScreenedSample { line, difference: (line % 7) as f64 / 10.0 })
        .collect();
    samples.push(ScreenedSample { line: 101, difference: 9.0 });
    let ranked = rank(&samples);
    let page = ScreeningPage {
        name: "<b>data",
        reference: "its own answer",
        traits: &[("evil", &ranked)],
    };
    let html = page.render();
    assert!(html.contains("1 lie past the upper fence") && html.contains("<td>101</td>"));
    assert!(!html.contains("<b>data") && !html.contains("NaN"));
    assert_eq!(html.matches("<tr>").count(), 1 + LISTED);
}
