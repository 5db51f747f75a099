//! One teacher-forced pass over a recorded conversation.

use super::error::ScoringError;
use crate::audit::entry::{Change, Conversation, VectorScore};
use crate::config::Config;
use crate::runtime::interventions::{capping, gate, steering};
use personaguard_guard::{RunningScore, Section};
use personaguard_model::{
    ChatOptions, Engine, EngineOptions, Intervention, LoadOptions, Model, ScoreRequest, Tap,
};
use personaguard_terms::Layer;
use personaguard_wire::Part;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

struct LoadedVector {
    layer: Layer,
    values: Arc<[f32]>,
}

/// Scores conversations with the model and the vectors of a config folder.
pub(super) struct Scorer {
    model: Arc<Model>,
    engine: Engine,
    vectors: BTreeMap<String, LoadedVector>,
}

impl Scorer {
    pub(super) fn load(config: &Config, file: &Path) -> Result<Self, ScoringError> {
        let served = &config.guard.model;
        let options = LoadOptions {
            context_length: Some(served.context_length as usize),
            threads: served.threads.map(|threads| threads as usize),
            expected_sha256: Some(served.sha256.to_string()),
            ..LoadOptions::default()
        };
        let model = Model::load(file, &options).map_err(ScoringError::Load)?;
        let model = Arc::new(model);
        let options = EngineOptions { max_concurrent: 1, ..EngineOptions::default() };
        let engine = Engine::start(Arc::clone(&model), options).map_err(ScoringError::Start)?;
        let vectors = config.vectors.iter().filter_map(|(name, values)| {
            let layer = config.guard.vectors.get(name)?.layer;
            Some((name.clone(), LoadedVector { layer, values: Arc::clone(values.as_ref().ok()?) }))
        });
        Ok(Self { model, engine, vectors: vectors.collect() })
    }

    pub(super) fn scores(
        &self,
        conversation: &Conversation,
    ) -> Result<Vec<VectorScore>, ScoringError> {
        let ours = self.model.digest();
        if conversation.model.as_ref().is_some_and(|model| model.as_str() != ours) {
            return Err(ScoringError::OtherWeights { digest: ours.to_owned() });
        }
        let names: Vec<_> = self.vectors.keys().collect();
        let taps =
            self.vectors.values().map(|vector| Tap::new(vector.layer.0 as usize, &vector.values));
        let interventions =
            conversation.changes.iter().map(|change| self.intervention(change, &names));
        let prompt = match conversation.prompt.as_slice() {
            [] => {
                let prompt =
                    self.model.chat_prompt(&conversation.messages, &ChatOptions::default());
                prompt.map_err(ScoringError::Prompt)?
            }
            tokens => tokens.to_vec(),
        };
        let taps = taps.collect::<Result<Vec<_>, _>>().map_err(ScoringError::Vector)?;
        let request = ScoreRequest {
            prompt,
            response: conversation.tokens.clone(),
            taps: taps.into(),
            interventions: interventions.collect::<Result<Vec<_>, _>>()?.into(),
            skip_logprobs: true,
            ..ScoreRequest::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let scored = runtime.map_err(ScoringError::Runtime)?.block_on(self.engine.score(request));
        let read = scored.map_err(ScoringError::Engine)?;
        let scores = self.vectors.iter().enumerate();
        // Vectors at further layers only act; they are not scored.
        let scores = scores.filter(|(_, (name, _))| !Part::is_name(name));
        let scores = scores.map(|(index, (name, vector))| {
            let mut score = RunningScore::default();
            score.add_prompt(read.prompt[index]);
            for (at, token) in read.response.iter().enumerate() {
                let is_reasoning = at < conversation.reasoning_tokens;
                let section = if is_reasoning { Section::Reasoning } else { Section::Answer };
                score.add_token(token[index], section);
            }
            let has_reasoning = conversation.reasoning_tokens > 0;
            VectorScore {
                vector: name.clone(),
                sha256: personaguard_persona::layer_digest(&vector.values),
                layer: vector.layer.0,
                prompt_last: score.prompt_last(),
                response_avg: score.response_avg(),
                reasoning_avg: has_reasoning.then(|| score.reasoning_avg()).flatten(),
                answer_avg: has_reasoning.then(|| score.answer_avg()).flatten(),
                tokens: score.tokens(),
            }
        });
        Ok(scores.collect())
    }

    /// What acted on the response. `names` are those of the read-outs.
    fn intervention(
        &self,
        change: &Change,
        names: &[&String],
    ) -> Result<Intervention, ScoringError> {
        let missing = |name: &str| ScoringError::VectorMissing(name.to_owned());
        let vector = self.vectors.get(&change.vector).ok_or_else(|| missing(&change.vector))?;
        let (layer, values) = (vector.layer, &vector.values);
        let Some(coefficient) = change.coefficient else {
            let cap = capping(layer, values, change.floor, change.ceiling, change.positions);
            return cap.map_err(ScoringError::Vector);
        };
        let gate = match &change.when {
            None => None,
            Some(when) => {
                let read = names.iter().position(|name| **name == when.vector);
                let read = read.ok_or_else(|| missing(&when.vector))?;
                Some(gate(read, when.at, when.above, when.until))
            }
        };
        steering(layer, values, coefficient, change.positions, gate).map_err(ScoringError::Vector)
    }
}
