//! One trait of a policy.

use super::threshold::Threshold;
use kube::KubeSchema;
use kube::core::{Message, Rule, validate};
use personaguard_terms::{
    Action, ActionKind, Capping, Redaction, Regeneration, RequestBounds, Score, Steering,
};
use schemars::Schema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One trait of a policy.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(transform = add_action_rules)]
#[x_kube(
    validation = (
        "self.action != 'Regenerate' || self.score != 'PromptLast'",
        "a new answer does not change the score of its prompt: action Regenerate goes with score \
         ResponseAvg, AnswerAvg or ReasoningAvg"
    ),
    validation = (
        "!has(self.requests) || has(self.threshold) || !(self.requests.block || \
         self.requests.threshold)",
        "requests.block and requests.threshold need a threshold that callers start from"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraitRule {
    /// Name of the `PersonaVector`.
    #[schemars(length(min = 1, max = 63))]
    pub vector: String,
    /// The limit: a score past it is a breach. Optional with actions `Audit`, `Steer` and `Cap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// The score that is compared with the threshold. `ResponseAvg`: mean projection over the
    /// response tokens, reasoning and answer together. `AnswerAvg`, `ReasoningAvg`: the same over
    /// the tokens of one of them, which alone then count as evidence and are held back.
    /// `PromptLast`: projection at the last prompt token, known before the first token is
    /// generated.
    #[serde(default)]
    pub score: Score,
    /// What to do.
    #[schemars(description = describe_actions())]
    pub action: ActionKind,
    /// How to steer. With action `Steer` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steer: Option<Steering>,
    /// Where to cap. With action `Cap` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<Capping>,
    /// How to generate again. With action `Regenerate` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<Regeneration>,
    /// What to say instead. With action `Redact` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact: Option<Redaction>,
    /// What callers may ask for beyond the policy, request by request. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestBounds>,
}

impl TraitRule {
    /// The action with its parameters.
    ///
    /// # Errors
    /// If they are not given, or those of another action are. The API server checks the same;
    /// manifests that are read from a folder had none.
    pub fn resolved_action(&self) -> Result<Action, MisplacedParameters> {
        // No field is left out, so that the compiler asks for those of a new action.
        let Self {
            vector: _,
            threshold: _,
            score: _,
            action,
            steer,
            cap,
            regenerate,
            redact,
            requests: _,
        } = self;
        let given = [
            steer.clone().map(Action::Steer),
            cap.clone().map(Action::Cap),
            regenerate.map(Action::Regenerate),
            redact.clone().map(Action::Redact),
            action.without_parameters(),
        ];
        let mut given = given.into_iter().flatten();
        let misplaced = given.clone().find(|given| given.kind() != *action);
        match (misplaced, given.next()) {
            (Some(other), _) => Err(MisplacedParameters(other.kind())),
            (None, own) => own.ok_or(MisplacedParameters(*action)),
        }
    }
}

/// The parameters of this action are missing, or given with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MisplacedParameters(pub ActionKind);

impl fmt::Display for MisplacedParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(action) = self;
        let (field, _) = action.parameters().unwrap_or_default();
        write!(f, "{field} goes with action {}, and nowhere else", action.name())
    }
}

impl std::error::Error for MisplacedParameters {}

/// The names of the actions of which something holds, as a list in CEL.
pub(super) fn cel_list(of: impl Fn(ActionKind) -> bool) -> String {
    let names = ActionKind::all().filter(|kind| of(*kind)).map(|kind| format!("'{}'", kind.name()));
    format!("[{}]", names.collect::<Vec<_>>().join(", "))
}

fn describe_actions() -> String {
    let effects = ActionKind::all().map(|kind| format!(" `{}`: {}.", kind.name(), kind.effect()));
    format!("What to do, from the least to the most intrusive.{}", effects.collect::<String>())
}

/// What each action needs.
fn add_action_rules(schema: &mut Schema) {
    let free = cel_list(|kind| !kind.needs_threshold());
    let threshold = Rule::new(format!("self.action in {free} || has(self.threshold)")).message(
        "this action needs a threshold: give threshold.sigma, .quantile, .projection or .range",
    );
    let parameters = ActionKind::all().filter_map(|kind| {
        let (name, (field, values)) = (kind.name(), kind.parameters()?);
        let message =
            format!("{field} goes with action {name}: give {values} there, and nowhere else");
        Some(
            Rule::new(format!("(self.action == '{name}') == has(self.{field})"))
                .message(Message::Message(message)),
        )
    });
    for rule in std::iter::once(threshold).chain(parameters) {
        // Two texts, which no input can change, and a unit test writes the schema.
        #[allow(clippy::expect_used)]
        validate(schema, rule).expect("a rule serialises");
    }
}
