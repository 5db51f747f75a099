//! Every Event that the operator publishes.

use super::condition::{ACCEPTED, TRAIT_BREACHED as BREACHED};
use super::reason;

/// An Event. Only those of this file exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its `reason`.
    pub reason: &'static str,
    /// Its `type`: `Warning`, or `Normal`.
    pub warning: bool,
    /// Its `action`: what the operator was doing.
    pub action: &'static str,
    /// What it is about.
    pub about: &'static [&'static str],
    /// What it says.
    pub says: &'static str,
}

/// One constant per Event, and the table of them all.
macro_rules! events {
    ($($constant:ident = $reason:expr, $type_:ident, $action:literal on $about:expr;
        $says:literal;)+) => {
        $(
            #[doc = $says]
            pub const $constant: Event = Event {
                reason: $reason,
                warning: events!(@$type_),
                action: $action,
                about: &$about,
                says: $says,
            };
        )+

        /// Every Event, apart from [`rejection`]s.
        pub const ALL: &[Event] = &[$($constant),+];
    };
    (@Warning) => { true };
    (@Normal) => { false };
}

events! {
    TRAIT_BREACHED = BREACHED, Warning, "Measure" on ["the workload", "PersonaPolicy"];
        "A response passed a threshold, under action `Alert` or one that acts.";
    DRIFT_DETECTED = reason::SCORES_MOVED, Warning, "Measure" on ["the workload"];
        "The scores of a trait have moved away from their calibration.";
    LOG_CUT = reason::LOG_CUT, Warning, "Measure" on ["the workload"];
        "The audit log of a pod went back behind a line that its sidecar had reported.";
    LOG_GAP = reason::LOG_GAP, Warning, "Measure" on ["the workload"];
        "A start of a sidecar found its audit log cut, damaged or torn.";
    UNREADABLE = reason::UNREADABLE, Warning, "Read" on ["any object that the operator watches"];
        "This operator cannot read the object; all that depends on it stays as it is.";
    WRITE_REFUSED = reason::WRITE_REFUSED, Warning, "Write" on ["PersonaPolicy"];
        "The API server refuses to write an object that the policy needs.";
    WITHDRAWN = reason::WITHDRAWN, Normal, "Withdraw" on ["PersonaPolicy"];
        "A deleted policy was withdrawn from the sidecars.";
}

/// Says of the Events of [`rejection`].
pub(super) const REJECTED: &str = "The policy cannot be enforced as it is written.";

/// The Event when a policy is not accepted: it has the reason of condition `Accepted`. `None` for
/// any other reason.
#[must_use]
pub fn rejection(reason: &str) -> Option<Event> {
    let reason = rejections().find(|known| known.name == reason)?.name;
    Some(Event {
        reason,
        warning: true,
        action: "Accept",
        about: &["PersonaPolicy"],
        says: REJECTED,
    })
}

/// Reasons of a policy that is not accepted, that no other Event has.
pub(super) fn rejections() -> impl Iterator<Item = &'static reason::Reason> {
    reason::ALL.iter().filter(|reason| {
        let of_policy = reason.places.iter().any(|place| place.condition == ACCEPTED);
        of_policy && !reason.action.is_empty() && ALL.iter().all(|it| it.reason != reason.name)
    })
}
