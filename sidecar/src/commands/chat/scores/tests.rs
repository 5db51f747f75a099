use super::*;
use serde_json::json;

#[test]
fn a_breach_is_shown() {
    let score = json!({
        "policy": "p",
        "vector": "evil",
        "trait": "evil",
        "layer": 21,
        "prompt_last": -1.0,
        "response_avg": 5.123,
        "score": "ResponseAvg",
        "threshold": 4.2,
        "breached": true,
        "action": "Block",
    });
    let answer = Answer {
        text: String::new(),
        finish_reason: "content_filter".to_owned(),
        scores: json!({ "scores": [score] }),
    };
    let lines = lines(&answer);
    for part in
        ["stopped by policy", "evil", "5.12", "-1.00", "threshold 4.20", "Block by p", "BREACHED"]
    {
        assert!(lines.contains(part), "{part} in {lines}");
    }
}
