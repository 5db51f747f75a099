//! Metrics of the model server, in Prometheus's text format.

use crate::proxy::shape::is_identifier;

/// The samples and types; comments and help texts stay behind, and so does every sample with a
/// label that is neither a name nor a number.
pub(super) fn keep(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter(|line| is_type(line) || is_sample(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Types of metrics.
const KINDS: [&str; 6] = ["counter", "gauge", "histogram", "summary", "untyped", "unknown"];

fn is_type(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("# TYPE ") else { return false };
    rest.split_once(' ').is_some_and(|(name, kind)| is_name(name) && KINDS.contains(&kind))
}

/// `NAME{LABEL="VALUE",…} NUMBER [TIMESTAMP]`.
fn is_sample(line: &str) -> bool {
    let (name, rest) = match line.find(['{', ' ']) {
        Some(at) => line.split_at(at),
        None => return false,
    };
    let (labels, values) = match rest.strip_prefix('{') {
        Some(rest) => match rest.split_once('}') {
            Some(parts) => parts,
            None => return false,
        },
        None => ("", rest),
    };
    let is_number =
        |text: &str| matches!(text, "NaN" | "+Inf" | "-Inf") || text.parse::<f64>().is_ok();
    is_name(name)
        && labels.split_terminator(',').all(is_label)
        && values.split_whitespace().all(is_number)
        && !values.trim().is_empty()
}

fn is_label(label: &str) -> bool {
    let Some((name, value)) = label.split_once('=') else { return false };
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let is_bound = |value: &str| value == "+Inf" || value.parse::<f64>().is_ok();
    let is_word = |value: &str| ["", "stop", "length", "abort", "error"].contains(&value);
    is_name(name)
        && value.is_some_and(|value| is_identifier(value) || is_bound(value) || is_word(value))
}

/// Names of metrics and labels have this form.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_leave_and_words_do_not() {
        let metrics = "# TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"llama-3.1\"} 2.0\n\
            process_cpu_seconds_total 12.5 1700000000\n\
            latency_bucket{le=\"+Inf\"} 7\n";
        assert_eq!(keep(metrics.as_bytes()), metrics);
        let said = "# HELP x the secret\n# secret\nx{answer=\"the secret\"} 1\nx secret\nsecret\n\
            data: secret\n{\"secret\": 1}\n# TYPE x secret\n\n";
        assert_eq!(keep(said.as_bytes()), "");
    }
}
