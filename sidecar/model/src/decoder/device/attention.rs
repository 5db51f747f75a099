//! Attention over the paged KV cache, in tensors. Segments of one token, which are responses being
//! decoded, attend together, padded to the longest context; pieces of prompts attend one by one.

use super::ops::soft_cap;
use crate::config::Config;
use crate::decoder::segment::Segment;
use crate::kernel::layout::BLOCK_SIZE;
use candle_core::{D, DType, Device, Result, Tensor};

/// Where the keys and values of a batch's rows go in the cache, and what its queries see there.
pub(super) struct BatchAttention {
    /// Cache blocks for which there must be room: the largest number plus one.
    pub(super) cache_blocks: usize,
    /// Each row's slot in the cache, repeated for each value: `[row][KV head · value]`.
    slots: Tensor,
    groups: Vec<Group>,
    /// The position of each row of the batch among the rows of all groups, where the two orders
    /// differ.
    order: Option<Tensor>,
}

/// Segments with the same number of tokens.
struct Group {
    segments: usize,
    /// Tokens of each segment.
    tokens: usize,
    /// Their rows of the batch; `None` for all rows.
    rows: Option<Tensor>,
    /// Tokens of the longest context.
    context: usize,
    /// Slots of the context in the cache, `[segment · context]`.
    context_slots: Tensor,
    /// 0 for what is visible and −∞ for the rest, `[segment][1][1][token][context]`: in blocks
    /// without a sliding window, and in those with one.
    mask: Tensor,
    windowed_mask: Option<Tensor>,
}

impl BatchAttention {
    pub(super) fn new(config: &Config, segments: &[Segment<'_>], device: &Device) -> Result<Self> {
        let (mut decoding, mut groups, mut first, mut slots) =
            (Vec::new(), Vec::new(), 0, Vec::new());
        for segment in segments {
            slots.extend(
                (0..segment.tokens.len()).map(|offset| slot(segment, segment.start + offset)),
            );
            match segment.tokens.len() {
                1 => decoding.push((first, segment)),
                _ => groups.push(vec![(first, segment)]),
            }
            first += segment.tokens.len();
        }
        groups.extend(Some(decoding).filter(|decoding| !decoding.is_empty()));
        let rows: Vec<u32> = groups
            .iter()
            .flatten()
            .flat_map(|(first, segment)| *first..first + segment.tokens.len())
            .map(narrow)
            .collect();
        let in_order = rows.is_sorted();
        let order = match in_order {
            true => None,
            false => {
                let mut back = vec![0; rows.len()];
                (0_u32..).zip(&rows).for_each(|(at, &row)| back[row as usize] = at);
                Some(Tensor::from_vec(back, rows.len(), device)?)
            }
        };
        let (alone, count) = (groups.len() == 1, slots.len());
        let width = config.kv_size();
        Ok(Self {
            cache_blocks: segments
                .iter()
                .flat_map(|s| s.blocks)
                .map(|block| block.number + 1)
                .max()
                .unwrap_or(0),
            slots: Tensor::from_vec(slots, (count, 1), device)?
                .broadcast_as((count, width))?
                .contiguous()?,
            groups: groups
                .iter()
                .map(|group| Group::new(config, group, alone, device))
                .collect::<Result<_>>()?,
            order,
        })
    }

    /// Writes keys and values, `[row][KV head · value]`, to the cache. Returns the attention of
    /// `query`, `[row][query head · value]`, in the same shape. `sinks` are scores, `[query head]`,
    /// of attention that goes to nothing.
    pub(super) fn attend(
        &self,
        config: &Config,
        is_windowed: bool,
        (keys, values): &(Tensor, Tensor),
        sinks: Option<&Tensor>,
        [query, key, value]: [&Tensor; 3],
    ) -> Result<Tensor> {
        let dtype = keys.dtype();
        keys.scatter_set(&self.slots, &key.to_dtype(dtype)?.contiguous()?, 0)?;
        values.scatter_set(&self.slots, &value.to_dtype(dtype)?.contiguous()?, 0)?;
        let query = query.to_dtype(dtype)?;
        let of = |group: &Group| group.attend(config, is_windowed, [keys, values], sinks, &query);
        let mixed = self.groups.iter().map(of).collect::<Result<Vec<_>>>()?;
        let mixed = Tensor::cat(&mixed, 0)?;
        self.order.as_ref().map_or(Ok(mixed.clone()), |order| mixed.index_select(order, 0))
    }
}

impl Group {
    fn new(
        config: &Config,
        group: &[(usize, &Segment<'_>)],
        alone: bool,
        device: &Device,
    ) -> Result<Self> {
        let segments = group.len();
        let tokens = group.first().map_or(0, |(_, segment)| segment.tokens.len());
        let context = group.iter().map(|(_, segment)| segment.start + tokens).max().unwrap_or(0);
        let rows = match alone {
            true => None,
            false => {
                let rows = group
                    .iter()
                    .flat_map(|(first, _)| *first..first + tokens)
                    .map(narrow)
                    .collect();
                Some(Tensor::from_vec(rows, segments * tokens, device)?)
            }
        };
        let context_slots = group.iter().flat_map(|(_, segment)| {
            let end = segment.start + tokens;
            // The padding of a short context is masked: any slot will do.
            (0..context).map(move |position| slot(segment, position.min(end - 1)))
        });
        let context_slots = Tensor::from_vec(context_slots.collect(), segments * context, device)?;
        let mask = |window: usize| {
            let sees = |position: usize, at: usize| at <= position && position - at < window;
            let values: Vec<f32> = group
                .iter()
                .flat_map(|(_, segment)| segment.start..segment.start + tokens)
                .flat_map(|position| {
                    (0..context)
                        .map(move |at| if sees(position, at) { 0.0 } else { f32::NEG_INFINITY })
                })
                .collect();
            Tensor::from_vec(values, (segments, 1, 1, tokens, context), device)
        };
        let windowed_mask = config.window.as_ref().map(|window| mask(window.tokens)).transpose()?;
        Ok(Self {
            segments,
            tokens,
            rows,
            context,
            context_slots,
            mask: mask(usize::MAX)?,
            windowed_mask,
        })
    }

    /// The attention of the group's rows, `[row][query head · value]`, in F32.
    fn attend(
        &self,
        config: &Config,
        is_windowed: bool,
        [keys, values]: [&Tensor; 2],
        sinks: Option<&Tensor>,
        query: &Tensor,
    ) -> Result<Tensor> {
        let (heads, width, shared) =
            (config.kv_heads, config.head_dim, config.heads / config.kv_heads);
        let (segments, tokens, context) = (self.segments, self.tokens, self.context);
        let query =
            self.rows.as_ref().map_or(Ok(query.clone()), |rows| query.index_select(rows, 0))?;
        let query = query
            .reshape((segments, tokens, heads, shared, width))?
            .permute((0, 2, 3, 1, 4))?
            .reshape((segments, heads, shared * tokens, width))?;
        let gather = |cache: &Tensor| -> Result<Tensor> {
            let gathered = cache
                .index_select(&self.context_slots, 0)?
                .reshape((segments, context, heads, width))?;
            gathered.transpose(1, 2)?.contiguous()
        };
        let scores = query.matmul(&gather(keys)?.transpose(2, 3)?)?.to_dtype(DType::F32)?;
        let scores = soft_cap(scores, config.score_cap)?;
        let mask = self.windowed_mask.as_ref().filter(|_| is_windowed).unwrap_or(&self.mask);
        let scores =
            scores.reshape((segments, heads, shared, tokens, context))?.broadcast_add(mask)?;
        let sinks = sinks.map(|sinks| sinks.reshape((1, heads, shared, 1, 1))).transpose()?;
        let max = scores.max_keepdim(D::Minus1)?;
        let max = match &sinks {
            Some(sinks) => max.broadcast_maximum(sinks)?,
            None => max,
        };
        let weights = scores.broadcast_sub(&max)?.exp()?;
        let sum = weights.sum_keepdim(D::Minus1)?;
        let sum = match &sinks {
            Some(sinks) => (sum + sinks.broadcast_sub(&max)?.exp()?)?,
            None => sum,
        };
        let weights = weights.broadcast_div(&sum)?;
        let weights = weights
            .reshape((segments, heads, shared * tokens, context))?
            .to_dtype(values.dtype())?;
        weights
            .matmul(&gather(values)?)?
            .to_dtype(DType::F32)?
            .reshape((segments, heads, shared, tokens, width))?
            .permute((0, 3, 1, 2, 4))?
            .reshape((segments * tokens, heads * shared * width))
    }
}

/// The slot of a position in the cache.
fn slot(segment: &Segment<'_>, position: usize) -> u32 {
    narrow(segment.blocks[position / BLOCK_SIZE].number * BLOCK_SIZE + position % BLOCK_SIZE)
}

/// Rows of a batch and slots in a cache that fits a device's memory stay below 2³².
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
