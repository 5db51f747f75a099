//! The scores of recorded conversations, computed anew and compared with those that were recorded.

use crate::audit::{self, entry::Change, entry::Conversation, entry::VectorScore};
use crate::config::{self, Source};
use anyhow::{Context as _, anyhow, bail};
use personaguard_guard::Tally;
use personaguard_model::{
    ChatOptions, Engine, EngineOptions, Gate, GatePosition, Intervention, LoadOptions, Model,
    ScoreRequest, Tap,
};
use personaguard_terms::{ConditionAt, Positions};
use personaguard_wire::Part;
use serde::Deserialize as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is replayed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Config folder that has the model and the vectors.
    pub config: PathBuf,
    /// Weight file in place of the one that the config names.
    pub model: Option<PathBuf>,
    /// Log of conversations.
    pub conversations: PathBuf,
    /// Audit log of the same time.
    pub audit: Option<PathBuf>,
    /// Only the response of this id.
    pub response: Option<String>,
}

/// Gives the scores to `print`, one line for each response and vector.
///
/// # Errors
/// A log is not as it was written, the model cannot be loaded, or a score differs.
pub fn replay(options: &Replay, mut print: impl FnMut(&str)) -> anyhow::Result<()> {
    let source =
        Source { folder: options.config.clone(), model_file: options.model.clone(), labels: None };
    let config = config::load(&source).context("config folder")?;
    let vectors = config.vectors.iter().filter_map(|(name, values)| {
        let layer = config.guard.vectors.get(name)?.layer.0;
        Some((name.clone(), Vector { layer, values: Arc::clone(values.as_ref().ok()?) }))
    });
    let load = LoadOptions {
        context_length: Some(config.guard.model.context_length as usize),
        threads: config.guard.model.threads.map(|threads| threads as usize),
        expected_sha256: Some(config.guard.model.sha256.to_string()),
        ..LoadOptions::default()
    };
    let model = Arc::new(Model::load(&config.model_file, &load)?);
    let engine = Engine::start(
        Arc::clone(&model),
        EngineOptions { max_concurrent: 1, ..EngineOptions::default() },
    )?;
    let replay = Scorer { model, engine, vectors: vectors.collect() };
    let recorded = options.audit.as_deref().map(recorded).transpose()?;
    let mut conversations = Vec::new();
    audit::verify(&options.conversations, None, |entry| {
        if entry["kind"] == Conversation::KIND {
            conversations.push(entry);
        }
    })?;
    let (mut compared, mut differing) = (0, 0);
    for entry in conversations {
        let conversation: Conversation =
            serde_json::from_value(entry).context("an entry of the conversation log")?;
        let id = &conversation.response_id;
        if options.response.as_ref().is_some_and(|wanted| wanted != id) {
            continue;
        }
        for score in replay.scores(&conversation).with_context(|| id.clone())? {
            let verdict = match recorded
                .as_ref()
                .map(|recorded| recorded.get(&(id.clone(), score.vector.clone())))
            {
                None => "",
                Some(None) => "  not in the audit log",
                Some(Some(other)) => {
                    compared += 1;
                    let same = same(&score, other)?;
                    differing += u32::from(!same);
                    if same { "  as recorded" } else { "  NOT as recorded" }
                }
            };
            let number =
                |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
            let (prompt, response) = (number(score.prompt_last), number(score.response_avg));
            print(&format!(
                "{id}  {}  prompt_last {prompt}  response_avg {response}{verdict}",
                score.vector
            ));
        }
    }
    match (&recorded, differing) {
        (_, 1..) => bail!("{differing} of {compared} scores differ from what was recorded"),
        (Some(_), 0) if compared == 0 => bail!("the audit log has none of these responses"),
        (Some(_), 0) => print(&format!("{compared} scores, each as recorded to the last bit")),
        (None, 0) => {}
    }
    Ok(())
}

/// Scores of the audit log, by response and vector.
fn recorded(file: &Path) -> anyhow::Result<BTreeMap<(String, String), VectorScore>> {
    let mut scores = BTreeMap::new();
    audit::verify(file, None, |entry| {
        let Some(id) = entry["response_id"].as_str() else { return };
        for score in entry["scores"].as_array().into_iter().flatten() {
            if let Ok(score) = VectorScore::deserialize(score) {
                scores.insert((id.to_owned(), score.vector.clone()), score);
            }
        }
    })?;
    Ok(scores)
}

/// Whether two scores are one, as they read after they were written.
fn same(computed: &VectorScore, recorded: &VectorScore) -> serde_json::Result<bool> {
    let read_back: VectorScore = serde_json::from_str(&serde_json::to_string(computed)?)?;
    Ok(read_back == *recorded)
}

struct Vector {
    layer: u32,
    values: Arc<[f32]>,
}

struct Scorer {
    model: Arc<Model>,
    engine: Engine,
    vectors: BTreeMap<String, Vector>,
}

impl Scorer {
    fn scores(&self, conversation: &Conversation) -> anyhow::Result<Vec<VectorScore>> {
        let ours = self.model.digest();
        if conversation.model.as_ref().is_some_and(|model| model.as_str() != ours) {
            bail!("it was recorded with other weights than {}…: replay it with those", &ours[..12]);
        }
        let names: Vec<_> = self.vectors.keys().collect();
        let taps =
            self.vectors.values().map(|vector| Tap::new(vector.layer as usize, &vector.values));
        let interventions =
            conversation.changes.iter().map(|change| self.intervention(change, &names));
        let prompt = match conversation.prompt.as_slice() {
            [] => self.model.chat_prompt(&conversation.messages, &ChatOptions::default())?,
            tokens => tokens.to_vec(),
        };
        let request = ScoreRequest {
            prompt,
            response: conversation.tokens.clone(),
            taps: taps.collect::<Result<Vec<_>, _>>()?.into(),
            interventions: interventions.collect::<anyhow::Result<Vec<_>>>()?.into(),
            skip_logprobs: true,
            ..ScoreRequest::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let read = runtime.block_on(self.engine.score(request))?;
        let score = |(index, (name, vector)): (usize, (&String, &Vector))| {
            let mut tally = Tally::default();
            tally.prompt(read.prompt[index]);
            read.response.iter().for_each(|token| _ = tally.token(token[index]));
            VectorScore {
                vector: name.clone(),
                sha256: personaguard_persona::layer_digest(&vector.values),
                layer: vector.layer,
                prompt_last: tally.prompt_last(),
                response_avg: tally.response_avg(),
                tokens: tally.count(),
            }
        };
        // What only acts, at further layers, is not scored.
        Ok(self
            .vectors
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| !Part::is_name(name))
            .map(score)
            .collect())
    }

    #[allow(clippy::cast_possible_truncation)]
    fn intervention(&self, change: &Change, names: &[&String]) -> anyhow::Result<Intervention> {
        let missing = |name: &str| {
            anyhow!("the config folder lacks vector `{name}`, which acted on this answer")
        };
        let vector = self.vectors.get(&change.vector).ok_or_else(|| missing(&change.vector))?;
        let positions = match change.positions {
            Positions::Response => personaguard_model::Positions::Response,
            Positions::Prompt => personaguard_model::Positions::Prompt,
            Positions::All => personaguard_model::Positions::All,
        };
        let layer = vector.layer as usize;
        let Some(coefficient) = change.coefficient else {
            let bound = |bound: Option<f64>| bound.map(|bound| bound as f32);
            return Ok(Intervention::cap(
                layer,
                &vector.values,
                bound(change.floor),
                bound(change.ceiling),
                positions,
            )?);
        };
        let add = Intervention::add(layer, &vector.values, coefficient.get() as f32, positions)?;
        let Some(when) = &change.when else { return Ok(add) };
        Ok(add.when(Gate {
            tap: names
                .iter()
                .position(|name| **name == when.vector)
                .ok_or_else(|| missing(&when.vector))?,
            at: match when.at {
                ConditionAt::PromptLast => GatePosition::PromptLast,
                ConditionAt::Token => GatePosition::Token,
            },
            above: when.above as f32,
            until: when.until as f32,
        }))
    }
}
