//! Parts of an extraction: the answers of one shard with their activations, in a file, so that
//! several machines can share the work. The whole is made from them by the command that would also
//! do all by itself, and gives the same file.
//!
//! A safetensors file. For each answer F32 tensors `[layers + 1, hidden]` named by request and
//! kind, as `extract/positive/q0/p1/r0:response_mean`; in the metadata, entry `part`, the design
//! that they belong to, each answer's tokens and the judge's ratings.

use super::journal::Rating;
use super::open::write_file;
use super::plan::{Ask, Plan};
use super::responder::Read;
use anyhow::{Context as _, bail};
use personaguard_model::{MeanStates, Model};
use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Metadata entry of the header.
const ENTRY: &str = "part";
/// Its format.
const FORMAT: &str = "personaguard.dev/extraction-part/v1";
/// Bytes of a part that are read at most.
const MAX_FILE: u64 = 64 << 30;
/// Bytes of its header that are parsed at most.
const MAX_HEADER: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    design: String,
    answers: BTreeMap<String, Vec<u32>>,
    ratings: BTreeMap<String, Rating>,
}

/// What parts bring along: answers by request, as they were written and as reread.
#[derive(Debug, Default)]
pub(super) struct Parts {
    answers: HashMap<String, Read>,
    reread: HashMap<String, MeanStates>,
    /// The judge's ratings, by what was rated.
    pub(super) ratings: HashMap<String, Rating>,
}

impl Parts {
    /// Reads the parts of a plan. Where they lack an answer, it is given anew.
    ///
    /// # Errors
    /// If a file cannot be read, or is a part of another design.
    pub(super) fn open(
        paths: &[PathBuf],
        design: &str,
        plan: &Plan,
        model: &Model,
    ) -> anyhow::Result<Self> {
        let mut parts = Self::default();
        let asks: HashMap<String, &Ask> = plan.all().map(|ask| (ask.purpose.name(), ask)).collect();
        for path in paths {
            parts
                .add(path, design, &asks, model)
                .with_context(|| format!("{} cannot be used", path.display()))?;
        }
        Ok(parts)
    }

    fn add(
        &mut self,
        path: &Path,
        design: &str,
        asks: &HashMap<String, &Ask>,
        model: &Model,
    ) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        let header =
            bytes.first_chunk::<8>().map_or(u64::MAX, |length| u64::from_le_bytes(*length));
        if bytes.len() as u64 > MAX_FILE || header > MAX_HEADER {
            bail!("it is no part of an extraction, or larger than is read");
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
        let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let entry = entry.context(
            "it is no part of an extraction: make it with `personaguard extract --shard`",
        )?;
        let header: Header = serde_json::from_str(entry)?;
        if header.format != FORMAT {
            bail!("it is of another version: make it anew with `personaguard extract --shard`");
        }
        if header.design != design {
            bail!(
                "it was made from another model or trait, or with other settings: give the options of `--shard` again"
            );
        }
        let tensors = SafeTensors::deserialize(&bytes)?;
        let shape = [model.layers() + 1, model.hidden()];
        for (request, tokens) in header.answers {
            let ask = *asks.get(&request).with_context(|| format!("{request:?} is not asked"))?;
            let rows = |kind: &str| rows(&tensors, &format!("{request}:{kind}"), shape);
            let response_mean = rows("response_mean")?
                .with_context(|| format!("it lacks activations of {request:?}"))?;
            let prompt_mean = rows("prompt_mean")?.unwrap_or_default();
            let prompt_last = rows("prompt_last")?.unwrap_or_default();
            if let Some(response_mean) = rows("reread")? {
                let states =
                    MeanStates { response_mean, prompt_mean: Vec::new(), prompt_last: Vec::new() };
                self.reread.insert(request.clone(), states);
            }
            let states = MeanStates { response_mean, prompt_mean, prompt_last };
            if self
                .answers
                .insert(request.clone(), Read { ask: ask.clone(), tokens, states })
                .is_some()
            {
                bail!("{request:?} stands in two parts: give each shard's file once");
            }
        }
        self.ratings.extend(header.ratings);
        Ok(())
    }

    /// The answer to a request; only once, to be kept elsewhere.
    pub(super) fn take(&mut self, request: &str) -> Option<Read> {
        self.answers.remove(request)
    }

    /// Its activations when it was read again; only once.
    pub(super) fn take_reread(&mut self, request: &str) -> Option<MeanStates> {
        self.reread.remove(request)
    }
}

/// The values of a tensor, if it is there.
fn rows(
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: [usize; 2],
) -> anyhow::Result<Option<Vec<Vec<f32>>>> {
    let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        bail!("tensor {name:?} is not F32 of shape {shape:?}");
    }
    let values: Vec<f32> =
        tensor.data().as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    if !values.iter().all(|value| value.is_finite()) {
        bail!("tensor {name:?} holds a value that is no number");
    }
    Ok(Some(values.chunks_exact(shape[1]).map(<[f32]>::to_vec).collect()))
}

/// Writes a part: answers, those of them that were read again, and ratings.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_part(
    path: &Path,
    design: &str,
    answers: &[Read],
    reread: &[Read],
    ratings: &HashMap<String, Rating>,
) -> anyhow::Result<()> {
    let header = Header {
        format: FORMAT.to_owned(),
        design: design.to_owned(),
        answers: answers
            .iter()
            .map(|read| (read.ask.purpose.name(), read.tokens.clone()))
            .collect(),
        ratings: ratings.iter().map(|(rated, rating)| (rated.clone(), rating.clone())).collect(),
    };
    let written = answers.iter().flat_map(|read| {
        let states = &read.states;
        let kinds = [
            ("response_mean", &states.response_mean),
            ("prompt_mean", &states.prompt_mean),
            ("prompt_last", &states.prompt_last),
        ];
        kinds.map(|(kind, rows)| (read, kind, rows))
    });
    let again = reread.iter().map(|read| (read, "reread", &read.states.response_mean));
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = written
        .chain(again)
        .filter(|(_, _, rows)| !rows.is_empty())
        .map(|(read, kind, rows)| {
            let data = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
            (format!("{}:{kind}", read.ask.purpose.name()), vec![rows.len(), rows[0].len()], data)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let entries = HashMap::from([(ENTRY.to_owned(), serde_json::to_string(&header)?)]);
    write_file(path, &serialize(views, Some(entries))?)
}
