//! What a scraper gets: OpenMetrics 1.0, or the older text format for those that ask for it. Pure.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt::Write as _;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, in which a counter's family has its suffix `_total`, too.
    Text,
}

impl Format {
    /// The format for these values of `Accept`: OpenMetrics, unless the older one is named and
    /// preferred.
    pub fn accepted<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut open, mut text) = (0.0, 0.0);
        for range in values.into_iter().flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let weight: &mut f64 = match parts.next().unwrap_or_default() {
                "application/openmetrics-text" => &mut open,
                "text/plain" => &mut text,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(1.0, |quality| quality.trim().parse().unwrap_or(1.0));
            *weight = weight.max(quality);
        }
        if text > open { Self::Text } else { Self::OpenMetrics }
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What `prometheus-client` encoded, in this format.
    ///
    /// A histogram of what can be negative has no sum and no count: a sum may only rise, and strict
    /// parsers refuse a whole scrape for one that can fall. Its count is the bucket `+Inf`.
    #[must_use]
    pub fn write(self, encoded: &str) -> String {
        let signed: HashSet<&str> = encoded.lines().filter_map(signed_histogram).collect();
        let counters: HashSet<&str> = encoded.lines().filter_map(counter).collect();
        let mut written = String::with_capacity(encoded.len());
        for line in encoded.lines() {
            if total(sample(line)).is_some_and(|family| signed.contains(family)) {
                continue;
            }
            // Writing to a String does not fail.
            let _ = match (self, header(line)) {
                (Self::Text, _) if line == "# EOF" => Ok(()),
                (Self::Text, Some((keyword, name, rest))) if counters.contains(name) => {
                    writeln!(written, "# {keyword} {name}_total {rest}")
                }
                _ => writeln!(written, "{line}"),
            };
        }
        written
    }
}

/// The name of a sample.
fn sample(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}

/// The histogram or summary to whose totals a sample belongs.
fn total(sample: &str) -> Option<&str> {
    sample.strip_suffix("_sum").or_else(|| sample.strip_suffix("_count"))
}

/// The histogram to whose buckets below 0 a line belongs. The encoder writes `le` first.
fn signed_histogram(line: &str) -> Option<&str> {
    let (name, labels) = line.split_once('{')?;
    labels.starts_with("le=\"-").then_some(())?;
    name.strip_suffix("_bucket")
}

/// Keyword, family and rest of a line about a family.
fn header(line: &str) -> Option<(&str, &str, &str)> {
    let (keyword, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    Some((keyword, name, rest))
}

/// The counter that a line declares.
fn counter(line: &str) -> Option<&str> {
    match header(line)? {
        ("TYPE", name, "counter") => Some(name),
        _ => None,
    }
}
