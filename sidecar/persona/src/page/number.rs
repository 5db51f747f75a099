//! Numbers as text.

/// A number with a proper minus sign; a dash if it is infinite or NaN.
pub(super) fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() {
        format!("{value:.decimals$}").replace('-', "−")
    } else {
        "–".to_owned()
    }
}

/// As [`number`]; a dash if there is none.
pub(super) fn optional(value: Option<f64>, decimals: usize) -> String {
    number(value.unwrap_or(f64::NAN), decimals)
}
