//! Conditions whose transition time changes only with their status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use personaguard_api::conditions::reason::REFUSED_BY_SIDECAR;

/// Longest message, a little below what the API server accepts.
const MAX_MESSAGE_CHARS: usize = 4000;
const MAX_REASON_CHARS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition to set. It has no transition time yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewCondition {
    pub(crate) type_: &'static str,
    pub(crate) status: ConditionStatus,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl NewCondition {
    fn new(
        type_: &'static str,
        status: ConditionStatus,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, status, reason: reason.into(), message: message.into() }
    }

    /// Status True.
    pub(crate) fn met(
        type_: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(type_, ConditionStatus::True, reason, message)
    }

    /// Status False.
    pub(crate) fn unmet(
        type_: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(type_, ConditionStatus::False, reason, message)
    }

    /// Status Unknown.
    pub(crate) fn unknown(
        type_: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(type_, ConditionStatus::Unknown, reason, message)
    }
}

/// The conditions of a status. One whose status is the same as in `before` keeps its transition
/// time.
pub(crate) fn conditions(
    new: &[NewCondition],
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let condition = |new: &NewCondition| {
        let status = new.status.as_str();
        let unchanged = before
            .iter()
            .find(|condition| condition.type_ == new.type_ && condition.status == status);
        Condition {
            type_: new.type_.to_owned(),
            status: status.to_owned(),
            reason: valid_reason(&new.reason),
            message: new.message.chars().take(MAX_MESSAGE_CHARS).collect(),
            observed_generation: generation,
            last_transition_time: unchanged
                .map_or(Time(now), |condition| condition.last_transition_time.clone()),
        }
    };
    new.iter().map(condition).collect()
}

/// Reasons that sidecars give are untrusted: one that is not CamelCase is replaced.
fn valid_reason(text: &str) -> String {
    let valid = text.len() <= MAX_REASON_CHARS
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if valid { text.to_owned() } else { REFUSED_BY_SIDECAR.to_owned() }
}

#[cfg(test)]
mod tests;
