//! A decoder's weights, read from their files in one pass that also computes the files' digests.

use crate::config::Config;
use crate::kernel::matrix::{Format, Matrix};
use crate::kernel::{LANES, pack};
use crate::model::LoadError;
use crate::on_disk::Adapter;
use crate::pool::Pool;
use crate::tensor::{DType, TensorInfo};
use half::{bf16, f16};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Bytes that are read at a time.
const CHUNK: usize = 8 << 20;

/// All weights of a decoder.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[vocabulary][hidden]`.
    pub(crate) embedding: Matrix,
    pub(crate) blocks: Vec<BlockWeights>,
    pub(crate) final_norm: Vec<f32>,
    /// `[vocabulary][hidden]`; the embedding where the file has none.
    pub(crate) output: Option<Matrix>,
    /// Divisors of the rotation frequencies, one for each pair (Llama 3's scaling).
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

impl BlockWeights {
    fn matrices(&self) -> [&Matrix; 7] {
        let [query, key, value] =
            [&self.query, &self.key, &self.value].map(|projection| &projection.matrix);
        [query, key, value, &self.attention_output, &self.gate, &self.up, &self.down]
    }
}

/// A linear map with an offset, if the family has one.
#[derive(Debug)]
pub(crate) struct Projection {
    pub(crate) matrix: Matrix,
    pub(crate) bias: Option<Vec<f32>>,
}

impl Weights {
    /// Reads all tensors, each file's in the order in which they lie, and adds what the adapter
    /// holds. Returns the files' SHA-256 too.
    pub(crate) fn read(
        sources: &mut [Source],
        adapter: Adapter,
        config: &Config,
        pool: &Pool,
    ) -> Result<(Self, Vec<Sha>), LoadError> {
        let mut tensors = Tensors { adapter, ..Tensors::default() };
        let digests = sources
            .iter_mut()
            .map(|source| tensors.read(source, pool))
            .collect::<Result<_, _>>()?;
        tensors.adapter.finish()?;
        Ok((tensors.assemble(config)?, digests))
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.matrices().map(Matrix::bytes).sum()
    }

    /// Whether every matrix is in f32.
    pub(crate) fn are_exact(&self) -> bool {
        self.matrices().all(|matrix| matrix.format == Format::F32)
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        std::iter::once(&self.embedding)
            .chain(&self.output)
            .chain(self.blocks.iter().flat_map(BlockWeights::matrices))
    }
}

/// A SHA-256.
pub(crate) type Sha = [u8; 32];

/// A file with tensors in it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: File,
    /// By the names that GGUF gives them.
    pub(crate) tensors: Vec<(String, TensorInfo)>,
}

/// The file, read once from start to end; all that is read is hashed.
struct Stream<'a> {
    file: &'a mut File,
    position: u64,
    sender: SyncSender<Arc<Vec<u8>>>,
}

impl Stream<'_> {
    fn read(&mut self, length: usize) -> Result<Arc<Vec<u8>>, LoadError> {
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).map_err(|error| LoadError::Corrupt {
            what: format!("it could not be read at byte {}: {error}", self.position),
        })?;
        self.position += length as u64;
        let bytes = Arc::new(bytes);
        // Fails only if the hasher died, which its `join` reports.
        drop(self.sender.send(bytes.clone()));
        Ok(bytes)
    }

    fn skip_to(&mut self, offset: u64) -> Result<(), LoadError> {
        while self.position < offset {
            let left = usize::try_from(offset - self.position).unwrap_or(CHUNK).min(CHUNK);
            self.read(left)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), LoadError> {
        let length = self.file.metadata().map_or(self.position, |metadata| metadata.len());
        self.skip_to(length)
    }
}

/// Tensors by name, each taken once.
#[derive(Default)]
struct Tensors {
    matrices: HashMap<String, Matrix>,
    vectors: HashMap<String, Vec<f32>>,
    adapter: Adapter,
}

impl Tensors {
    /// Reads a file to its end. Returns its digest.
    fn read(&mut self, source: &mut Source, pool: &Pool) -> Result<Sha, LoadError> {
        let io = |error: std::io::Error| LoadError::Corrupt {
            what: format!("it could not be read to its end: {error}"),
        };
        let file = &mut source.file;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        source.tensors.sort_by_key(|(_, info)| info.offset);
        let (sender, receiver) = sync_channel::<Arc<Vec<u8>>>(2);
        std::thread::scope(|scope| {
            let hasher = scope.spawn(move || {
                let mut hasher = Sha256::new();
                receiver.iter().for_each(|bytes| hasher.update(bytes.as_slice()));
                hasher.finalize().into()
            });
            let mut stream = Stream { file, position: 0, sender };
            let read = self.take(&mut stream, &source.tensors, pool);
            // An unfinished digest is of no use to anyone, but the thread must see the end.
            let finished = read.and_then(|()| stream.finish());
            let digest = hasher
                .join()
                .map_err(|_| LoadError::Corrupt { what: "its digest failed".into() })?;
            finished.map(|()| digest)
        })
    }

    fn take(
        &mut self,
        stream: &mut Stream<'_>,
        order: &[(String, TensorInfo)],
        pool: &Pool,
    ) -> Result<(), LoadError> {
        for (name, info) in order {
            if info.offset < stream.position {
                return Err(LoadError::Corrupt { what: format!("tensor {name} overlaps another") });
            }
            stream.skip_to(info.offset)?;
            if info.rows == 1 {
                let raw = stream.read(info.bytes)?;
                self.vectors.insert(name.clone(), floats(name, info.dtype, &raw)?);
            } else {
                let addend = self.adapter.take(name, info)?;
                // What is added to is held in F32: rounded to fewer bits, a small addition could
                // vanish.
                let dtype = if addend.is_some() { DType::F32 } else { info.dtype };
                let mut matrix = Matrix::new(pack::format_of(dtype), info.rows, info.columns);
                let group_bytes = pack::row_bytes(info.dtype, info.columns) * LANES;
                let groups_a_time = (CHUNK / group_bytes).max(1);
                let mut left = info.bytes;
                for first_group in (0..matrix.groups()).step_by(groups_a_time) {
                    let raw = stream.read(left.min(groups_a_time * group_bytes))?;
                    left -= raw.len();
                    match &addend {
                        None => pack::pack(pool, dtype, &raw, &mut matrix, first_group),
                        Some(addend) => {
                            let mut values = floats(name, info.dtype, &raw)?;
                            addend.add_to(&mut values, first_group * LANES);
                            let raw: Vec<u8> =
                                values.iter().flat_map(|value| value.to_le_bytes()).collect();
                            pack::pack(pool, dtype, &raw, &mut matrix, first_group);
                        }
                    }
                }
                self.matrices.insert(name.clone(), matrix);
            }
        }
        Ok(())
    }

    fn assemble(mut self, config: &Config) -> Result<Weights, LoadError> {
        let (hidden, inner) = (config.hidden, config.heads * config.head_width);
        let kv = config.kv_heads * config.head_width;
        let embedding = self.matrix("token_embd.weight", None, hidden)?;
        let vocabulary = embedding.rows;
        let blocks = (0..config.layers).map(|index| {
            let mut projection = |name: &str, rows| -> Result<Projection, LoadError> {
                Ok(Projection {
                    matrix: self.matrix(
                        &format!("blk.{index}.{name}.weight"),
                        Some(rows),
                        hidden,
                    )?,
                    bias: self.optional_vector(&format!("blk.{index}.{name}.bias"), rows)?,
                })
            };
            let (query, key, value) = (
                projection("attn_q", inner)?,
                projection("attn_k", kv)?,
                projection("attn_v", kv)?,
            );
            let name = |name: &str| format!("blk.{index}.{name}.weight");
            Ok(BlockWeights {
                attention_norm: self.norm(config, &name("attn_norm"), hidden)?,
                query,
                key,
                value,
                query_norm: self.optional_norm(config, &name("attn_q_norm"), config.head_width)?,
                key_norm: self.optional_norm(config, &name("attn_k_norm"), config.head_width)?,
                attention_output: self.matrix(&name("attn_output"), Some(hidden), inner)?,
                post_attention_norm: self.optional_norm(
                    config,
                    &name("post_attention_norm"),
                    hidden,
                )?,
                feed_forward_norm: self.norm(config, &name("ffn_norm"), hidden)?,
                gate: self.matrix(&name("ffn_gate"), Some(config.feed_forward), hidden)?,
                up: self.matrix(&name("ffn_up"), Some(config.feed_forward), hidden)?,
                down: self.matrix(&name("ffn_down"), Some(hidden), config.feed_forward)?,
                post_feed_forward_norm: self.optional_norm(
                    config,
                    &name("post_ffw_norm"),
                    hidden,
                )?,
            })
        });
        let blocks = blocks.collect::<Result<_, LoadError>>()?;
        let weights = Weights {
            blocks,
            final_norm: self.norm(config, "output_norm.weight", hidden)?,
            output: match self.matrices.contains_key("output.weight") {
                true => Some(self.matrix("output.weight", Some(vocabulary), hidden)?),
                false => None,
            },
            rope_factors: self.optional_vector("rope_freqs.weight", config.rope.width / 2)?,
            embedding,
        };
        match self.matrices.keys().chain(self.vectors.keys()).min() {
            Some(name) => Err(LoadError::Unsupported {
                what: format!("the weights hold a tensor {name} of unknown use"),
            }),
            None => Ok(weights),
        }
    }

    fn matrix(
        &mut self,
        name: &str,
        rows: Option<usize>,
        columns: usize,
    ) -> Result<Matrix, LoadError> {
        let matrix = self
            .matrices
            .remove(name)
            .ok_or_else(|| LoadError::Corrupt { what: format!("tensor {name} is missing") })?;
        if matrix.columns != columns || rows.is_some_and(|rows| matrix.rows != rows) {
            return Err(LoadError::Corrupt {
                what: format!(
                    "tensor {name} is {} × {}, which the header contradicts",
                    matrix.rows, matrix.columns
                ),
            });
        }
        Ok(matrix)
    }

    fn optional_vector(
        &mut self,
        name: &str,
        length: usize,
    ) -> Result<Option<Vec<f32>>, LoadError> {
        match self.vectors.remove(name) {
            Some(vector) if vector.len() != length => Err(LoadError::Corrupt {
                what: format!("tensor {name} has {} values, expected {length}", vector.len()),
            }),
            other => Ok(other),
        }
    }

    /// A norm's factors.
    fn optional_norm(
        &mut self,
        config: &Config,
        name: &str,
        length: usize,
    ) -> Result<Option<Vec<f32>>, LoadError> {
        let mut norm = self.optional_vector(name, length)?;
        norm.iter_mut().flatten().for_each(|factor| *factor += config.norm_offset);
        Ok(norm)
    }

    fn norm(&mut self, config: &Config, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        self.optional_norm(config, name, length)?
            .ok_or_else(|| LoadError::Corrupt { what: format!("tensor {name} is missing") })
    }
}

/// The values of a tensor that is not quantised.
pub(crate) fn floats(name: &str, dtype: DType, raw: &[u8]) -> Result<Vec<f32>, LoadError> {
    Ok(match dtype {
        DType::F32 => raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        DType::F16 => {
            raw.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
        }
        DType::Bf16 => {
            raw.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect()
        }
        other => {
            return Err(LoadError::Unsupported {
                what: format!(
                    "tensor {name} is quantised as {other:?}, where plain numbers are needed"
                ),
            });
        }
    })
}
