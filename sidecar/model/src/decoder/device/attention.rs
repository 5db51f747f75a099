//! Attention over the paged cache, in tensors: responses that feed one token each attend together,
//! padded to the longest; pieces of prompts attend one by one.

use super::super::Segment;
use super::soft_cap;
use crate::config::Config;
use crate::kernel::attend::TOKENS;
use candle_core::{D, DType, Device, Result, Tensor};

/// Where a batch's rows go in the cache, and what they see there.
pub(super) struct Batch {
    /// Cache blocks that must exist: the largest number and one.
    pub(super) cache_blocks: usize,
    /// Place in the cache of each row's token, for each value: `[row][key head · value]`.
    places: Tensor,
    groups: Vec<Group>,
    /// From the groups' order of rows to the batch's, where the two differ.
    order: Option<Tensor>,
}

/// Segments of the same number of tokens.
struct Group {
    segments: usize,
    /// Of each segment.
    tokens: usize,
    /// Rows of the batch, segment by segment; `None` for all rows.
    rows: Option<Tensor>,
    /// Tokens of the longest context.
    context: usize,
    /// Places in the cache, `[segment · context]`.
    seen: Tensor,
    /// 0 for what is seen and −∞ for what is not, `[segment][1][1][token][context]`: in blocks that
    /// see everything, and in windowed ones.
    mask: Tensor,
    windowed_mask: Option<Tensor>,
}

impl Batch {
    pub(super) fn new(config: &Config, segments: &[Segment<'_>], device: &Device) -> Result<Self> {
        let (mut single, mut groups, mut first, mut places) =
            (Vec::new(), Vec::new(), 0, Vec::new());
        for segment in segments {
            places.extend(
                (0..segment.tokens.len()).map(|offset| place(segment, segment.start + offset)),
            );
            match segment.tokens.len() {
                1 => single.push((first, segment)),
                _ => groups.push(vec![(first, segment)]),
            }
            first += segment.tokens.len();
        }
        groups.extend(Some(single).filter(|single| !single.is_empty()));
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
        let (alone, count) = (groups.len() == 1, places.len());
        let width = config.kv_heads * config.head_width;
        Ok(Self {
            cache_blocks: segments
                .iter()
                .flat_map(|s| s.blocks)
                .map(|block| block.number + 1)
                .max()
                .unwrap_or(0),
            places: Tensor::from_vec(places, (count, 1), device)?
                .broadcast_as((count, width))?
                .contiguous()?,
            groups: groups
                .iter()
                .map(|group| Group::new(config, group, alone, device))
                .collect::<Result<_>>()?,
            order,
        })
    }

    /// Puts keys and values, `[row][key head · value]`, into the cache, and attends with `query`,
    /// `[row][head · value]`.
    pub(super) fn attend(
        &self,
        config: &Config,
        windowed: bool,
        (keys, values): &(Tensor, Tensor),
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
    ) -> Result<Tensor> {
        let dtype = keys.dtype();
        keys.scatter_set(&self.places, &key.to_dtype(dtype)?.contiguous()?, 0)?;
        values.scatter_set(&self.places, &value.to_dtype(dtype)?.contiguous()?, 0)?;
        let query = query.to_dtype(dtype)?;
        let of = |group: &Group| group.attend(config, windowed, keys, values, &query);
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
        let seen = group.iter().flat_map(|(_, segment)| {
            let end = segment.start + tokens;
            // What pads a short context is masked: any place does.
            (0..context).map(move |position| place(segment, position.min(end - 1)))
        });
        let seen = Tensor::from_vec(seen.collect(), segments * context, device)?;
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
        Ok(Self { segments, tokens, rows, context, seen, mask: mask(usize::MAX)?, windowed_mask })
    }

    /// `[row][head · value]` of the group's rows, in F32.
    fn attend(
        &self,
        config: &Config,
        windowed: bool,
        keys: &Tensor,
        values: &Tensor,
        query: &Tensor,
    ) -> Result<Tensor> {
        let (heads, width, shared) =
            (config.kv_heads, config.head_width, config.heads / config.kv_heads);
        let (segments, tokens, context) = (self.segments, self.tokens, self.context);
        let query =
            self.rows.as_ref().map_or(Ok(query.clone()), |rows| query.index_select(rows, 0))?;
        let query = query
            .reshape((segments, tokens, heads, shared, width))?
            .permute((0, 2, 3, 1, 4))?
            .reshape((segments, heads, shared * tokens, width))?;
        let gather = |cache: &Tensor| -> Result<Tensor> {
            let gathered =
                cache.index_select(&self.seen, 0)?.reshape((segments, context, heads, width))?;
            gathered.transpose(1, 2)?.contiguous()
        };
        let scores = query.matmul(&gather(keys)?.transpose(2, 3)?)?.to_dtype(DType::F32)?;
        let scores = soft_cap(scores, config.score_cap)?;
        let mask = self.windowed_mask.as_ref().filter(|_| windowed).unwrap_or(&self.mask);
        let scores =
            scores.reshape((segments, heads, shared, tokens, context))?.broadcast_add(mask)?;
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
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

fn place(segment: &Segment<'_>, position: usize) -> u32 {
    narrow(segment.blocks[position / TOKENS].number * TOKENS + position % TOKENS)
}

/// Rows of a batch and places in a cache that fits a device's memory stay below 2³².
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
