//! Conditions with steady transition times.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Longest message that the API server takes, with room to spare.
const LONGEST: usize = 4000;

/// What is to be said in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) type_: &'static str,
    pub(crate) status: Answer,
    pub(crate) reason: String,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    True,
    False,
    Unknown,
}

impl Answer {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Verdict {
    fn new(
        type_: &'static str,
        status: Answer,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, status, reason: reason.into(), message: message.into() }
    }

    pub(crate) fn yes(
        type_: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(type_, Answer::True, reason, message)
    }

    pub(crate) fn no(
        type_: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(type_, Answer::False, reason, message)
    }

    pub(crate) fn unknown(
        type_: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(type_, Answer::Unknown, reason, message)
    }
}

/// The conditions; a transition time changes only with the status.
pub(crate) fn conditions(
    verdicts: &[Verdict],
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let condition = |verdict: &Verdict| {
        let status = verdict.status.as_str();
        let known = before
            .iter()
            .find(|condition| condition.type_ == verdict.type_ && condition.status == status);
        Condition {
            type_: verdict.type_.to_owned(),
            status: status.to_owned(),
            reason: reason(&verdict.reason),
            message: verdict.message.chars().take(LONGEST).collect(),
            observed_generation: generation,
            last_transition_time: known
                .map_or(Time(now), |known| known.last_transition_time.clone()),
        }
    };
    verdicts.iter().map(condition).collect()
}

/// Reasons that sidecars give come from outside: CamelCase, or none of theirs.
fn reason(text: &str) -> String {
    let sound = text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if sound {
        text.to_owned()
    } else {
        personaguard_api::conditions::reason::REFUSED_BY_SIDECAR.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_stays_while_the_status_does() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = conditions(&[Verdict::no("Ready", "A", "a")], &[], Some(1), at(10));
        let other_reason = conditions(&[Verdict::no("Ready", "B", "b")], &first, Some(2), at(20));
        assert_eq!(other_reason[0].last_transition_time.0, at(10));
        assert_eq!(other_reason[0].reason, "B");
        let turned = conditions(&[Verdict::yes("Ready", "C", "c")], &other_reason, Some(2), at(30));
        assert_eq!(turned[0].last_transition_time.0, at(30));
    }

    #[test]
    fn a_reason_that_the_api_server_would_refuse_is_replaced() {
        assert_eq!(reason("DigestMismatch"), "DigestMismatch");
        assert_eq!(reason("a b; DROP"), "RefusedBySidecar");
    }
}
