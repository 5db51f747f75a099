//! Breaches, and why a response is cut.

/// A rule whose score passed its threshold. Happens at most once for each rule and response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breach {
    /// Index in [`rules`](crate::Plan::rules).
    pub rule: usize,
    /// The score at that moment.
    pub score: f64,
    /// The threshold it passed.
    pub threshold: f64,
}

/// Why a response is cut. If there are several reasons, the most intrusive one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// A trait with action `Redact` is breached: see [`redaction`](super::Decision::redaction).
    Redacted,
    /// A trait with action `Block` is breached.
    Blocked,
    /// A trait cannot be scored, and its policy fails closed.
    Unscorable,
}
