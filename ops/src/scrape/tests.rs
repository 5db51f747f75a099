use super::*;

#[test]
fn item_19_a_scraper_gets_the_format_that_it_asks_for() {
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, expected) in [
        ("", Format::OpenMetrics),
        ("*/*", Format::OpenMetrics),
        ("application/vnd.google.protobuf", Format::OpenMetrics),
        (prometheus, Format::OpenMetrics),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5", Format::OpenMetrics),
        ("text/plain;version=0.0.4", Format::Text),
        ("text/plain", Format::Text),
        ("application/openmetrics-text; q=0.1, text/plain; q=0.9", Format::Text),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format::OpenMetrics),
    ] {
        assert_eq!(Format::accepted([accept]), expected, "{accept}");
    }
    assert_eq!(Format::accepted(["text/plain", "application/openmetrics-text"]).content_type(), {
        Format::OpenMetrics.content_type()
    });
    assert_eq!(Format::accepted([]), Format::OpenMetrics);
}

const ENCODED: &str = "\
# HELP score Scores.
# TYPE score histogram
score_sum{policy=\"p\"} -3.5
score_count{policy=\"p\"} 2
score_bucket{le=\"-1.0\",policy=\"p\"} 1
score_bucket{le=\"+Inf\",policy=\"p\"} 2
# HELP seconds Seconds.
# TYPE seconds histogram
seconds_sum 1.5
seconds_count 1
seconds_bucket{le=\"1.0\"} 0
seconds_bucket{le=\"+Inf\"} 1
# HELP pushes Pushes of counter.
# TYPE pushes counter
pushes_total{result=\"le=\\\"-\"} 3
# HELP ready Ready.
# TYPE ready gauge
ready 1
# EOF
";

#[test]
fn item_19_a_histogram_of_what_can_be_negative_has_no_sum() {
    let written = Format::OpenMetrics.write(ENCODED);
    assert!(!written.contains("score_sum") && !written.contains("score_count"), "{written}");
    assert!(written.contains("seconds_sum 1.5\nseconds_count 1\n"), "{written}");
    assert!(written.contains("# TYPE pushes counter\npushes_total{"), "{written}");
    assert!(written.ends_with("# EOF\n"));
}

#[test]
fn item_19_in_the_older_format_a_counter_has_its_help_and_type() {
    let written = Format::Text.write(ENCODED);
    let counter = "# HELP pushes_total Pushes of counter.\n# TYPE pushes_total counter\n";
    assert!(written.contains(counter), "{written}");
    assert!(!written.contains("EOF") && !written.contains("score_sum"), "{written}");
    assert!(written.ends_with("# TYPE ready gauge\nready 1\n"), "{written}");
}
