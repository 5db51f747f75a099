//! The scores beside an answer.

use super::client::Answer;
use serde_json::Value;
use std::fmt::Write as _;

/// One line for each trait: its scores, its threshold, and whether it is breached.
pub(super) fn lines(answer: &Answer) -> String {
    let mut lines = String::new();
    if answer.finish_reason == "content_filter" {
        lines.push_str("\n  — stopped by policy");
    }
    let scores = answer.scores["scores"].as_array().map(Vec::as_slice).unwrap_or_default();
    for score in scores {
        let text = |field: &str| score[field].as_str().unwrap_or("?").to_owned();
        let name = if text("trait") == text("vector") {
            text("trait")
        } else {
            format!("{} ({})", text("trait"), text("vector"))
        };
        let bound = match &score["threshold"] {
            Value::Number(max) => format!("threshold {:.2}", max.as_f64().unwrap_or_default()),
            Value::Object(band) => {
                format!("band {} to {}", number(&band["min"]), number(&band["max"]))
            }
            _ => "no threshold".to_owned(),
        };
        let sections = match &score["reasoning_avg"] {
            Value::Null => String::new(),
            reasoning => format!(
                " (reasoning {}, answer {})",
                number(reasoning),
                number(&score["answer_avg"])
            ),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            lines,
            "\n  {name:<16} response {:>7}{sections}  prompt {:>7}  {bound}  {} by {}{}",
            number(&score["response_avg"]),
            number(&score["prompt_last"]),
            text("action"),
            text("policy"),
            if score["breached"] == true { "  BREACHED" } else { "" },
        );
    }
    if scores.is_empty() {
        lines.push_str("\n  no policy measures this service");
    }
    lines.push('\n');
    lines
}

fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |number| format!("{number:.2}"))
}

#[cfg(test)]
mod tests;
