//! Random policies and responses, and what reaches the client of them.

use crate::fixtures::{VECTORS, bare_policy, bare_rule, plan, redacts, vector_index, vector_name};
use personaguard_guard::{Decision, Holdback, Plan, Section, Stop, UnscoredReason};
use personaguard_terms::{
    Action, Capping, Coherence, Evidence, EvidenceWindow, FailurePolicy, Mode, Positions, Score,
    Steering,
};
use personaguard_wire::{ResolvedPolicy, ResolvedTrait};
use proptest::prelude::*;
use std::sync::Arc;

/// Projections are by the numbers of the vectors.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) policies: Vec<ResolvedPolicy>,
    pub(crate) prompt: Vec<f32>,
    pub(crate) tokens: Vec<Vec<f32>>,
    /// Whether the client reads after each token; what it does not read then, it reads later.
    pub(crate) reads: Vec<bool>,
    pub(crate) sections: Sections,
}

/// Which tokens are the reasoning: the first ones. It is known from some token on, or, with neither
/// reasoning nor an answer, never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sections {
    /// Tokens whose section is not known when they come.
    pub(crate) unknown: usize,
    pub(crate) reasoning: usize,
}

impl Sections {
    /// What a server says of a token.
    fn of(self, token: usize) -> Section {
        if token < self.unknown {
            Section::Unknown
        } else if token < self.reasoning {
            Section::Reasoning
        } else {
            Section::Answer
        }
    }
}

fn sections() -> impl Strategy<Value = Sections> {
    prop_oneof![
        1 => Just(Sections { unknown: usize::MAX, reasoning: 0 }),
        2 => (0..20_usize).prop_map(|reasoning| Sections { unknown: 0, reasoning }),
        2 => (0..12_usize, 0..20_usize).prop_map(|(unknown, reasoning)| {
            let unknown = if reasoning == 0 { unknown } else { unknown.min(reasoning) };
            Sections { unknown, reasoning }
        }),
    ]
}

fn projection() -> impl Strategy<Value = f32> {
    prop_oneof![40 => -10.0..10.0_f32, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

fn window() -> impl Strategy<Value = Option<EvidenceWindow>> {
    let window = (1..7_u32).prop_flat_map(|of_last| {
        (1..=of_last).prop_map(move |past| EvidenceWindow { past, of_last })
    });
    prop::option::of(window)
}

fn steers() -> Action {
    Action::Steer(Steering {
        coefficient: (-1.0).try_into().unwrap(),
        positions: Positions::Response,
        layers: Vec::new(),
        when: None,
        coherence: Coherence::default(),
    })
}

fn caps() -> Action {
    Action::Cap(Capping { ceiling: Some(1.0), ..Capping::default() })
}

fn rule() -> impl Strategy<Value = ResolvedTrait> {
    let action = prop_oneof![
        1 => prop::sample::select(vec![Action::Audit, Action::Alert, steers(), caps()]),
        2 => Just(redacts()),
        2 => Just(Action::Block),
    ];
    let score = prop_oneof![
        3 => Just(Score::ResponseAvg),
        1 => Just(Score::PromptLast),
        2 => Just(Score::AnswerAvg),
        2 => Just(Score::ReasoningAvg),
    ];
    (0..VECTORS, action, score, -12.0..8.0_f64, 0.0..12.0_f64, 0..3).prop_map(
        |(vector, action, score, min, width, sides)| ResolvedTrait {
            vector: vector_name(vector),
            score,
            min: (sides != 0).then_some(min),
            max: (sides != 1).then_some(min + width),
            action,
            ..bare_rule()
        },
    )
}

pub(crate) fn policy(mode: impl Strategy<Value = Mode>) -> impl Strategy<Value = ResolvedPolicy> {
    let failure_policy = prop_oneof![Just(FailurePolicy::Open), Just(FailurePolicy::Closed)];
    (mode, failure_policy, 1..12_u32, window(), prop::collection::vec(rule(), 1..4)).prop_map(
        |(mode, failure_policy, min_tokens, window, traits)| ResolvedPolicy {
            mode,
            failure_policy,
            evidence: Evidence { min_tokens, window },
            traits,
            ..bare_policy()
        },
    )
}

pub(crate) fn reads() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 32)
}

pub(crate) fn case(mode: impl Strategy<Value = Mode>) -> impl Strategy<Value = Case> {
    let projections = || prop::collection::vec(projection(), VECTORS);
    let policies = prop::collection::vec(policy(mode), 0..4);
    let tokens = prop::collection::vec(projections(), 0..30);
    (policies, projections(), tokens, reads(), sections()).prop_map(
        |(policies, prompt, tokens, reads, sections)| Case {
            policies,
            prompt,
            tokens,
            reads,
            sections,
        },
    )
}

/// What reached the client, and how it ended.
pub(crate) struct Seen {
    pub(crate) tokens: Vec<usize>,
    pub(crate) stop: Option<Stop>,
    pub(crate) unscored: Option<UnscoredReason>,
}

/// Sends a case through decision and hold-back, as the server does: each token waits for its own
/// projections.
pub(crate) fn run(case: &Case) -> Seen {
    run_under(case, plan(&case.policies))
}

pub(crate) fn run_under(case: &Case, plan: Arc<Plan>) -> Seen {
    let order = measured(&plan);
    let mut decision = Decision::new(plan);
    let mut held = Holdback::default();
    let mut seen = Vec::new();
    let drain = |decision: &Decision, held: &mut Holdback<usize>, seen: &mut Vec<usize>| {
        while let Some(token) = held.release(decision.releasable(held.pushed())) {
            seen.push(token);
        }
    };
    decision.add_prompt(&pick(&case.prompt, &order));
    for (index, token) in case.tokens.iter().enumerate() {
        if decision.stop().is_some() {
            break;
        }
        let section = case.sections.of(index);
        if section == Section::Answer && case.sections.reasoning > 0 {
            decision.set_reasoning();
        }
        decision.add_token(&pick(token, &order), section);
        held.push(index);
        if case.reads[index] {
            drain(&decision, &mut held, &mut seen);
        }
    }
    if decision.stop().is_none() {
        decision.finish();
    }
    drain(&decision, &mut held, &mut seen);
    Seen { tokens: seen, stop: decision.stop(), unscored: decision.unscored() }
}

/// Numbers of the vectors that a plan measures, in its order: those that its rules use.
pub(crate) fn measured(plan: &Plan) -> Vec<usize> {
    plan.vectors.iter().map(|vector| vector_index(&vector.name)).collect()
}

/// Projections in a plan's order.
pub(crate) fn pick(projections: &[f32], order: &[usize]) -> Vec<f32> {
    order.iter().map(|index| projections[*index]).collect()
}
