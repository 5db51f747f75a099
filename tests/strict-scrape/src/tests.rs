use super::*;

const GOOD: &str = "\
# HELP score Scores.
# TYPE score histogram
score_bucket{le=\"-1.0\",policy=\"a \\\"quoted\\\" one\"} 1
score_bucket{le=\"+Inf\",policy=\"a \\\"quoted\\\" one\"} 2
# HELP seconds Seconds.
# TYPE seconds histogram
seconds_sum 1.5
seconds_count 1
seconds_bucket{le=\"1.0\"} 0
seconds_bucket{le=\"+Inf\"} 1
# HELP pushes Pushes.
# TYPE pushes counter
pushes_total{result=\"accepted\"} 3
# HELP ready Ready.
# TYPE ready gauge
ready -1
# EOF
";

#[test]
fn what_is_specified_is_read() {
    let samples = parse(GOOD).unwrap();
    assert_eq!(samples.len(), 8);
    assert_eq!(samples[0].labels["policy"], "a \"quoted\" one");
    assert_eq!(samples.last().unwrap().value, -1.0);
}

#[test]
fn what_a_strict_parser_refuses_is_refused() {
    for (good, bad, fault) in [
        ("# EOF\n", "", "EOF"),
        ("score_bucket{le=\"-1", "score_sum{policy=\"x\"} -1\nscore_bucket{le=\"-1", "buckets"),
        ("seconds_count 1\n", "", "sum and count"),
        ("seconds_sum 1.5\n", "seconds_sum -1.5\n", "below 0"),
        ("seconds_sum 1.5\nseconds_count 1\n", "seconds_sum 1\nseconds_count 2\n", "last bucket"),
        ("seconds_bucket{le=\"+Inf\"} 1\n", "", "+Inf"),
        ("le=\"1.0\"} 0", "le=\"1.0\"} 4", "out of order"),
        ("pushes_total", "pushes", "not one of its samples"),
        ("# TYPE pushes counter", "# TYPE pushes_total counter", "no known type"),
        ("accepted\"} 3", "accepted\"} -3", "counter's value"),
        ("# HELP ready Ready.\n", "", "no help"),
        ("ready -1\n", "ready -1\nready 1\n", "twice"),
        ("ready -1\n", "ready one\n", "no sample"),
        ("# HELP ready Ready.\n# TYPE ready", "# HELP pushes P.\n# TYPE pushes", "pushes"),
    ] {
        let text = GOOD.replacen(good, bad, 1);
        assert_ne!(text, GOOD, "{good}");
        let error = parse(&text).unwrap_err();
        assert!(error.contains(fault), "{bad}: {error}");
    }
}
