//! A decoder's weights.

mod stream;
mod tensors;

use crate::config::Config;
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
    /// Divisors of the RoPE frequencies, one for each pair.
    pub(crate) rope_factors: Option<Vec<f32>>,
}

/// Weights of one block.
#[derive(Debug)]
pub(crate) struct BlockWeights {
    pub(crate) attention_norm: Vec<f32>,
    pub(crate) query: Projection,
    pub(crate) key: Projection,
    pub(crate) value: Projection,
    pub(crate) query_norm: Option<Vec<f32>>,
    pub(crate) key_norm: Option<Vec<f32>>,
    pub(crate) attention_output: Matrix,
    pub(crate) post_attention_norm: Option<Vec<f32>>,
    pub(crate) feed_forward_norm: Vec<f32>,
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
    pub(crate) post_feed_forward_norm: Option<Vec<f32>>,
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
            rope_factors: tensors.optional_vector("rope_freqs.weight", config.rope.dims / 2)?,
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

impl BlockWeights {
    fn take(tensors: &mut Tensors, index: usize, config: &Config) -> Result<Self, LoadError> {
        let (hidden, query, kv) = (config.hidden_size, config.query_size(), config.kv_size());
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let mut projection = |part: &str, rows| -> Result<Projection, LoadError> {
            Ok(Projection {
                matrix: tensors.matrix(&name(part), Some(rows), hidden)?,
                bias: tensors.optional_vector(&format!("blk.{index}.{part}.bias"), rows)?,
            })
        };
        Ok(Self {
            query: projection("attn_q", query)?,
            key: projection("attn_k", kv)?,
            value: projection("attn_v", kv)?,
            attention_norm: tensors.norm(&name("attn_norm"), hidden)?,
            query_norm: tensors.optional_norm(&name("attn_q_norm"), config.head_dim)?,
            key_norm: tensors.optional_norm(&name("attn_k_norm"), config.head_dim)?,
            attention_output: tensors.matrix(&name("attn_output"), Some(hidden), query)?,
            post_attention_norm: tensors.optional_norm(&name("post_attention_norm"), hidden)?,
            feed_forward_norm: tensors.norm(&name("ffn_norm"), hidden)?,
            gate: tensors.matrix(&name("ffn_gate"), Some(config.feed_forward_size), hidden)?,
            up: tensors.matrix(&name("ffn_up"), Some(config.feed_forward_size), hidden)?,
            down: tensors.matrix(&name("ffn_down"), Some(hidden), config.feed_forward_size)?,
            post_feed_forward_norm: tensors.optional_norm(&name("post_ffw_norm"), hidden)?,
        })
    }

    fn matrices(&self) -> [&Matrix; 7] {
        let [query, key, value] =
            [&self.query, &self.key, &self.value].map(|projection| &projection.matrix);
        [query, key, value, &self.attention_output, &self.gate, &self.up, &self.down]
    }
}
