//! Log-probabilities of tokens that were sent.

use crate::error::{Context as _, Result};
use serde_json::Value;

/// The sum over a response that begins at `first`. vLLM gives a list of objects by token id, one
/// for each token that was sent.
///
/// # Errors
/// If there are none.
pub(super) fn sum(given: &Value, first: usize, response: &[u32]) -> Result<f64> {
    let one = |(position, token): (usize, &u32)| {
        given.get(position)?.get(token.to_string())?.get("logprob")?.as_f64()
    };
    let each = (first..).zip(response).map(one);
    each.sum::<Option<f64>>().context("vLLM returned no log-probabilities of the text it was sent")
}

#[cfg(test)]
mod tests {
    use super::sum;
    use serde_json::json;

    #[test]
    fn the_response_counts_and_nothing_may_be_missing() {
        let given = json!([
            null,
            { "5": { "logprob": -9.0, "rank": 7 } },
            { "1": { "logprob": -0.1 }, "6": { "logprob": -2.5 } },
            { "7": { "logprob": -1.0 } },
        ]);
        assert_eq!(sum(&given, 2, &[6, 7]).unwrap(), -3.5);
        assert!(sum(&given, 2, &[6, 8]).is_err());
        assert!(sum(&given, 3, &[7, 7]).is_err());
        assert!(sum(&json!(null), 0, &[1]).is_err());
    }
}
