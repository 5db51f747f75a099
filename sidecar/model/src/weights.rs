//! A decoder's weights.

mod rows;
mod stream;
mod tensors;

use crate::config::{Config, RopeFactors};
use crate::error::LoadError;
use crate::kernel::format::WeightFormat;
use crate::kernel::matrix::Matrix;
use crate::load::adapter::Adapter;
use crate::load::{Sha256Digest, TensorFile};
use crate::pool::ThreadPool;
use tensors::Tensors;

/// All weights of a decoder.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[vocab_size][hidden_size]`.
    pub(crate) embedding: Matrix,
    pub(crate) blocks: Vec<BlockWeights>,
    pub(crate) final_norm: Vec<f32>,
    /// `[vocab_size][hidden_size]`; `None` where the embedding is used.
    pub(crate) output: Option<Matrix>,
    /// Divisors of the RoPE frequencies.
    pub(crate) rope_factors: Option<RopeFactors>,
}

/// Weights of one block.
#[derive(Debug)]
pub(crate) struct BlockWeights {
    pub(crate) attention_norm: Option<Vec<f32>>,
    pub(crate) query: Projection,
    pub(crate) key: Projection,
    pub(crate) value: Projection,
    /// As wide as a head, or as all heads together; so is the norm of keys.
    pub(crate) query_norm: Option<Vec<f32>>,
    pub(crate) key_norm: Option<Vec<f32>>,
    /// Of each head: the score of attention that goes to nothing.
    pub(crate) attention_sinks: Option<Vec<f32>>,
    pub(crate) attention_output: Projection,
    pub(crate) post_attention_norm: Option<Vec<f32>>,
    pub(crate) feed_forward_norm: Option<Vec<f32>>,
    pub(crate) feed_forward: FeedForward,
    pub(crate) post_feed_forward_norm: Option<Vec<f32>>,
}

/// A feed-forward layer.
#[derive(Debug)]
pub(crate) enum FeedForward {
    One(Gated),
    Experts(Mixture),
}

/// A mixture of experts.
#[derive(Debug)]
pub(crate) struct Mixture {
    /// `[expert][hidden_size]`.
    pub(crate) router: Projection,
    pub(crate) experts: Vec<Gated>,
    pub(crate) shared: Option<Shared>,
}

/// A layer beside the experts that every token goes through.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layer: Gated,
    /// Its weight in a token is σ(⟨gate, x⟩).
    pub(crate) gate: Vec<f32>,
}

/// down(activation(gate(x)) · up(x)).
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) gate: Projection,
    pub(crate) up: Projection,
    pub(crate) down: Projection,
}

/// A linear map, with a bias where the architecture has one.
#[derive(Debug)]
pub(crate) struct Projection {
    pub(crate) matrix: Matrix,
    pub(crate) bias: Option<Vec<f32>>,
}

impl Weights {
    /// Reads all tensors, those of each file in the order in which they lie there, and adds what
    /// the adapter holds. Also returns the digests of the files.
    pub(crate) fn read(
        files: &mut [TensorFile],
        adapter: Adapter,
        config: &Config,
        pool: &ThreadPool,
    ) -> Result<(Self, Vec<Sha256Digest>), LoadError> {
        let mut tensors = Tensors::new(adapter, config.norm_offset);
        let digests =
            files.iter_mut().map(|file| tensors.read(file, pool)).collect::<Result<_, _>>()?;
        tensors.adapter().check_all_taken()?;
        tensors.check_whole()?;
        Ok((Self::assemble(tensors, config)?, digests))
    }

    fn assemble(mut tensors: Tensors, config: &Config) -> Result<Self, LoadError> {
        let embedding = tensors.matrix("token_embd.weight", None, config.hidden_size)?;
        let blocks =
            (0..config.layers).map(|index| BlockWeights::take(&mut tensors, index, config));
        let blocks = blocks.collect::<Result<_, LoadError>>()?;
        let output = match tensors.has_matrix("output.weight") {
            true => {
                Some(tensors.matrix("output.weight", Some(embedding.rows), config.hidden_size)?)
            }
            false => None,
        };
        let weights = Self {
            blocks,
            final_norm: tensors.norm("output_norm.weight", config.hidden_size)?,
            output,
            rope_factors: rope_factors(&mut tensors, config.rope.dims / 2)?,
            embedding,
        };
        match tensors.any_left() {
            Some(name) => {
                Err(LoadError::beyond(format!("the weights hold a tensor {name} of unknown use")))
            }
            None => Ok(weights),
        }
    }

    /// Approximate bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.matrices().map(Matrix::bytes).sum()
    }

    /// Whether every matrix is in F32.
    pub(crate) fn are_all_f32(&self) -> bool {
        self.matrices().all(|matrix| matrix.format == WeightFormat::F32)
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        std::iter::once(&self.embedding)
            .chain(&self.output)
            .chain(self.blocks.iter().flat_map(BlockWeights::matrices))
    }
}

/// SHA-256 of a file with weights.
pub(crate) fn digest(file: &mut TensorFile) -> Result<Sha256Digest, LoadError> {
    stream::read_and_hash(&mut file.file, |_| Ok(()))
}

fn rope_factors(tensors: &mut Tensors, pairs: usize) -> Result<Option<RopeFactors>, LoadError> {
    let [any, short, long] =
        ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"]
            .map(|name| tensors.optional_divisors(name, pairs));
    match (any?, short?, long?) {
        (any, None, None) => Ok(any.map(RopeFactors::Any)),
        (None, Some(short), Some(long)) => Ok(Some(RopeFactors::ByContext { short, long })),
        _ => Err(LoadError::corrupt(
            "the weights hold some factors of RoPE, and not those that belong with them",
        )),
    }
}

impl BlockWeights {
    fn take(tensors: &mut Tensors, index: usize, config: &Config) -> Result<Self, LoadError> {
        let (hidden, query, kv) = (config.hidden_size, config.query_size(), config.kv_size());
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let mut norm = |part: &str, is_there: bool| {
            is_there.then(|| tensors.norm(&name(part), hidden)).transpose()
        };
        let (before, after) = (config.norms.is_before(), config.norms.is_after());
        let attention_norm = norm("attn_norm", before)?;
        let post_attention_norm = norm("post_attention_norm", after)?;
        let feed_forward_norm = norm("ffn_norm", before)?;
        let post_feed_forward_norm = norm("post_ffw_norm", after)?;
        let mut projection = |part: &str, rows, columns| {
            Projection::take(tensors, &format!("blk.{index}.{part}"), Some(rows), columns)
        };
        Ok(Self {
            query: projection("attn_q", query, hidden)?,
            key: projection("attn_k", kv, hidden)?,
            value: projection("attn_v", kv, hidden)?,
            attention_output: projection("attn_output", hidden, query)?,
            attention_norm,
            query_norm: tensors.optional_norm(&name("attn_q_norm"), [config.head_dim, query])?,
            key_norm: tensors.optional_norm(&name("attn_k_norm"), [config.head_dim, kv])?,
            attention_sinks: tensors.optional_vector(&name("attn_sinks"), config.heads)?,
            post_attention_norm,
            feed_forward_norm,
            feed_forward: FeedForward::take(tensors, index, config)?,
            post_feed_forward_norm,
        })
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let attention = [&self.query, &self.key, &self.value, &self.attention_output];
        let (router, layers, shared) = match &self.feed_forward {
            FeedForward::One(layer) => (None, std::slice::from_ref(layer), None),
            FeedForward::Experts(Mixture { router, experts, shared }) => {
                (Some(router), experts.as_slice(), shared.as_ref().map(|shared| &shared.layer))
            }
        };
        let layers = layers.iter().chain(shared);
        let layers = layers.flat_map(|layer| [&layer.gate, &layer.up, &layer.down]);
        attention.into_iter().chain(router).chain(layers).map(|projection| &projection.matrix)
    }
}

impl Projection {
    /// `rows` is `None` for any number of them.
    fn take(
        tensors: &mut Tensors,
        name: &str,
        rows: Option<usize>,
        columns: usize,
    ) -> Result<Self, LoadError> {
        let matrix = tensors.matrix(&format!("{name}.weight"), rows, columns)?;
        let bias = tensors.optional_vector(&format!("{name}.bias"), matrix.rows)?;
        Ok(Self { matrix, bias })
    }
}

impl FeedForward {
    fn take(tensors: &mut Tensors, block: usize, config: &Config) -> Result<Self, LoadError> {
        let (hidden, inner) = (config.hidden_size, Some(config.feed_forward_size));
        let name = |part: &str| format!("blk.{block}.{part}");
        let Some(experts) = &config.experts else {
            return Ok(Self::One(Gated::take(tensors, &name("ffn"), "", inner, hidden)?));
        };
        let router = Projection::take(tensors, &name("ffn_gate_inp"), Some(experts.count), hidden)?;
        let of_number = |number: usize| {
            Gated::take(tensors, &name("ffn"), &format!(".{number}"), inner, hidden)
        };
        let layers = (0..experts.count).map(of_number).collect::<Result<_, LoadError>>()?;
        let shared = match experts.has_shared {
            true => Some(Shared {
                layer: Gated::take(tensors, &name("ffn"), "_shexp", None, hidden)?,
                gate: tensors.vector(&name("ffn_gate_inp_shexp.weight"), hidden)?,
            }),
            false => None,
        };
        Ok(Self::Experts(Mixture { router, experts: layers, shared }))
    }
}

impl Gated {
    /// Of any size between its matrices where `inner` is `None`.
    fn take(
        tensors: &mut Tensors,
        before: &str,
        after: &str,
        inner: Option<usize>,
        hidden: usize,
    ) -> Result<Self, LoadError> {
        let gate = Projection::take(tensors, &format!("{before}_gate{after}"), inner, hidden)?;
        let inner = gate.matrix.rows;
        let up = Projection::take(tensors, &format!("{before}_up{after}"), Some(inner), hidden)?;
        let down =
            Projection::take(tensors, &format!("{before}_down{after}"), Some(hidden), inner)?;
        Ok(Self { gate, up, down })
    }
}
