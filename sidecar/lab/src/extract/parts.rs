//! The part of an extraction that one shard made: its answers with their activations, in a file.
//!
//! Several machines can thus share the work. The same command that does everything alone makes the
//! vector file from the parts, identical to the byte.
//!
//! A part is a safetensors file. Each answer has F32 tensors of shape `[layers + 1, hidden]`, named
//! after the request and the kind of activations, as in
//! `extract/positive/q0/p1/r0:response_mean`. Metadata entry `part` holds the digest of the design,
//! the tokens of each answer, and the judge's ratings.

use super::journal::Rating;
use super::plan::Plan;
use super::request::Request;
use super::scored_answer::ScoredAnswer;
use crate::error::{Context as _, Result, bail};
use crate::files::{Tensor, write_tensors};
use personaguard_model::MeanStates;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Name of the metadata entry in the header.
const ENTRY: &str = "part";
/// Name and version of the format.
const FORMAT: &str = "personaguard.dev/extraction-part/v1";
/// Size of the largest part that is read, in bytes.
const MAX_FILE: u64 = 64 << 30;
/// Size of the longest header that is parsed, in bytes.
const MAX_HEADER: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    design: String,
    answers: BTreeMap<String, Vec<u32>>,
    ratings: BTreeMap<String, Rating>,
}

/// The content of several parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    answers: HashMap<String, ScoredAnswer>,
    rescored: HashMap<String, MeanStates>,
    /// The judge's ratings, by the name of what was rated.
    pub(super) ratings: HashMap<String, Rating>,
}

impl Parts {
    /// Reads parts of a plan, with activations of a shape. They need not be complete: answers that
    /// they lack are generated.
    ///
    /// # Errors
    /// If a file cannot be read, or is not a part of this design.
    pub(super) fn open(
        paths: &[PathBuf],
        design: &str,
        plan: &Plan,
        shape: [usize; 2],
    ) -> Result<Self> {
        let requests = plan.all().map(|request| (request.purpose.name(), request)).collect();
        let mut parts = Self::default();
        for path in paths {
            parts
                .add(path, design, &requests, shape)
                .with_context(|| format!("{} cannot be used", path.display()))?;
        }
        Ok(parts)
    }

    fn add(
        &mut self,
        path: &Path,
        design: &str,
        requests: &HashMap<String, &Request>,
        shape: [usize; 2],
    ) -> Result<()> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        let header = read_header(&bytes)?;
        if header.design != design {
            bail!(
                "it was made from another model or trait, or with other settings: use the same \
                 options as with --shard"
            );
        }
        let tensors = SafeTensors::deserialize(&bytes)?;
        for (name, tokens) in header.answers {
            let request = *requests
                .get(&name)
                .with_context(|| format!("it has an unknown request {name:?}"))?;
            let rows = |kind: &str| rows(&tensors, &format!("{name}:{kind}"), shape);
            let states = MeanStates {
                response_mean: rows("response_mean")?
                    .with_context(|| format!("it lacks activations of {name:?}"))?,
                prompt_mean: rows("prompt_mean")?.unwrap_or_default(),
                prompt_last: rows("prompt_last")?.unwrap_or_default(),
                ..MeanStates::default()
            };
            if let Some(response_mean) = rows("rescored")? {
                let states = MeanStates { response_mean, ..MeanStates::default() };
                self.rescored.insert(name.clone(), states);
            }
            let answer = ScoredAnswer { request: request.clone(), tokens, states };
            if self.answers.insert(name.clone(), answer).is_some() {
                bail!("{name:?} is in two parts: give the file of each shard once");
            }
        }
        self.ratings.extend(header.ratings);
        Ok(())
    }

    /// Removes the answer to a request from the parts, to be kept elsewhere.
    pub(super) fn take_answer(&mut self, request: &str) -> Option<ScoredAnswer> {
        self.answers.remove(request)
    }

    /// Removes the rescored activations of an answer from the parts, to be kept elsewhere.
    pub(super) fn take_rescored(&mut self, request: &str) -> Option<MeanStates> {
        self.rescored.remove(request)
    }
}

fn read_header(bytes: &[u8]) -> Result<Header> {
    let length = bytes.first_chunk::<8>().map_or(u64::MAX, |length| u64::from_le_bytes(*length));
    if bytes.len() as u64 > MAX_FILE || length > MAX_HEADER {
        bail!("it is not a part of an extraction, or is too large");
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
    let entry = entry.context(
        "it is not a part of an extraction: make it with `personaguard extract --shard`",
    )?;
    let header: Header = serde_json::from_str(entry)?;
    if header.format != FORMAT {
        bail!("it is of another version: make it again with `personaguard extract --shard`");
    }
    Ok(header)
}

/// The rows of a tensor; `None` if there is no such tensor.
fn rows(tensors: &SafeTensors<'_>, name: &str, shape: [usize; 2]) -> Result<Option<Vec<Vec<f32>>>> {
    let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        bail!("tensor {name:?} is not F32 of shape {shape:?}");
    }
    let values: Vec<f32> =
        tensor.data().as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    if !values.iter().all(|value| value.is_finite()) {
        bail!("tensor {name:?} has a value that is not a finite number");
    }
    Ok(Some(values.chunks_exact(shape[1]).map(<[f32]>::to_vec).collect()))
}

/// Writes a part: answers, those of them that were rescored, and ratings.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_part(
    path: &Path,
    design: &str,
    answers: &[ScoredAnswer],
    rescored: &[ScoredAnswer],
    ratings: &HashMap<String, Rating>,
) -> Result<()> {
    let header = Header {
        format: FORMAT.to_owned(),
        design: design.to_owned(),
        answers: answers
            .iter()
            .map(|answer| (answer.request.purpose.name(), answer.tokens.clone()))
            .collect(),
        ratings: ratings.iter().map(|(rated, rating)| (rated.clone(), rating.clone())).collect(),
    };
    let generated = answers.iter().flat_map(|answer| {
        let states = &answer.states;
        let kinds = [
            ("response_mean", &states.response_mean),
            ("prompt_mean", &states.prompt_mean),
            ("prompt_last", &states.prompt_last),
        ];
        kinds.map(|(kind, rows)| (answer, kind, rows))
    });
    let rescored = rescored.iter().map(|answer| (answer, "rescored", &answer.states.response_mean));
    let tensors: Vec<Tensor> = generated
        .chain(rescored)
        .filter(|(_, _, rows)| !rows.is_empty())
        .map(|(answer, kind, rows)| Tensor {
            name: format!("{}:{kind}", answer.request.purpose.name()),
            shape: vec![rows.len(), rows[0].len()],
            values: rows.concat(),
        })
        .collect();
    write_tensors(
        path,
        &tensors,
        HashMap::from([(ENTRY.to_owned(), serde_json::to_string(&header)?)]),
    )
}
