use super::*;

#[test]
fn a_mark_at_the_edge_is_named_within_the_chart() {
    let first = Histogram { name: "a", colour: "red", values: &[0.0, 1.0] };
    let second = Histogram { name: "b", colour: "blue", values: &[0.5] };
    let marks = [Mark { name: "sigma 3", at: 9.0 }, Mark { name: "low", at: 0.0 }];
    let chart = histograms("x", [first, second], &marks).into_string();
    assert!(
        chart.contains("text-anchor=\"end\">sigma 3")
            && chart.contains("text-anchor=\"start\">low"),
        "{chart}"
    );
}
