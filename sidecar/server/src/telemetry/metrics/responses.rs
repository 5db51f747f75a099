//! Metrics of responses.

use super::register::register;
use crate::telemetry::labels::{Outcome, OverrideResult, RegenerationResult, SteeringCoherence};
use personaguard_guard::UnscoredReason;
use personaguard_terms::metrics::sidecar as names;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnguardedLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OverrideLabels {
    result: OverrideResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegenerationLabels {
    result: RegenerationResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SteeredLabels {
    coherence: SteeringCoherence,
}

const PROMPT: TokenLabels = TokenLabels { kind: "prompt" };
const COMPLETION: TokenLabels = TokenLabels { kind: "completion" };

/// Metrics of responses.
#[derive(Debug)]
pub struct ResponseMetrics {
    responses: Family<OutcomeLabels, Counter>,
    time_to_first_token: Histogram,
    duration: Histogram,
    tokens: Family<TokenLabels, Counter>,
    unguarded: Family<UnguardedLabels, Counter>,
    overrides: Family<OverrideLabels, Counter>,
    regenerated: Family<RegenerationLabels, Counter>,
    steered: Family<SteeredLabels, Counter>,
}

impl ResponseMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let first_token = Histogram::new([
            0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0, 60.0,
        ]);
        let duration = Histogram::new([
            0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0,
        ]);
        let metrics = Self {
            responses: register(
                r,
                names::RESPONSES,
                "Responses that ended, by outcome",
                Family::default(),
            ),
            time_to_first_token: register(
                r,
                names::TIME_TO_FIRST_TOKEN,
                "Seconds from the request to the first token that left",
                first_token,
            ),
            duration: register(
                r,
                names::RESPONSE_DURATION,
                "Seconds from the request to the end of the response",
                duration,
            ),
            tokens: register(
                r,
                names::TOKENS,
                "Tokens of prompts and completions",
                Family::default(),
            ),
            unguarded: register(
                r,
                names::UNGUARDED,
                "Responses that left unscored, by reason",
                Family::default(),
            ),
            overrides: register(
                r,
                names::REQUEST_CONTROLS,
                "Requests that asked for more than the policies do, by result",
                Family::default(),
            ),
            regenerated: register(
                r,
                names::REGENERATIONS,
                "Responses that were written again, by the scores of the attempt that left",
                Family::default(),
            ),
            steered: register(
                r,
                names::STEERED,
                "Steered responses, by their coherence",
                Family::default(),
            ),
        };
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        for outcome in Outcome::ALL {
            drop(self.responses.get_or_create(&OutcomeLabels { outcome: *outcome }));
        }
        for kind in [PROMPT, COMPLETION] {
            drop(self.tokens.get_or_create(&kind));
        }
        for reason in UnscoredReason::ALL {
            drop(self.unguarded.get_or_create(&UnguardedLabels { reason: reason.label() }));
        }
        for result in OverrideResult::ALL {
            drop(self.overrides.get_or_create(&OverrideLabels { result: *result }));
        }
        for result in RegenerationResult::ALL {
            drop(self.regenerated.get_or_create(&RegenerationLabels { result: *result }));
        }
        for coherence in SteeringCoherence::ALL {
            drop(self.steered.get_or_create(&SteeredLabels { coherence: *coherence }));
        }
    }

    /// A response ended.
    pub fn observe_end(&self, outcome: Outcome, duration: Duration) {
        self.responses.get_or_create(&OutcomeLabels { outcome }).inc();
        if outcome != Outcome::Rejected {
            self.duration.observe(duration.as_secs_f64());
        }
    }

    /// The first token of a response left.
    pub fn observe_first_token(&self, after: Duration) {
        self.time_to_first_token.observe(after.as_secs_f64());
    }

    /// Tokens of a response that ended.
    pub fn count_tokens(&self, prompt: u64, completion: u64) {
        self.tokens.get_or_create(&PROMPT).inc_by(prompt);
        self.tokens.get_or_create(&COMPLETION).inc_by(completion);
    }

    /// A response left unscored.
    pub fn count_unguarded(&self, reason: UnscoredReason) {
        self.unguarded.get_or_create(&UnguardedLabels { reason: reason.label() }).inc();
    }

    /// A request asked for more than the policies do.
    pub fn count_override(&self, result: OverrideResult) {
        self.overrides.get_or_create(&OverrideLabels { result }).inc();
    }

    /// A response was written again, and ended.
    pub fn count_regenerated(&self, result: RegenerationResult) {
        self.regenerated.get_or_create(&RegenerationLabels { result }).inc();
    }

    /// A steered response ended.
    pub fn count_steered(&self, coherence: SteeringCoherence) {
        self.steered.get_or_create(&SteeredLabels { coherence }).inc();
    }
}
