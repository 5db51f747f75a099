//! Taps on a device.
//!
//! Projections and steering take one small product for each layer, and all projections of a pass
//! are read back at once, at its end. If a request needs more (a cap, a gate, sums of hidden
//! states), the stream of the layers with taps is copied to the host, where the CPU's own code does
//! the work.

use crate::decoder::segment::Segment;
use crate::decoder::taps as host;
use crate::residual::{Change, Intervention};
use candle_core::{Device, Result, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// By layer: vectors, and the same on the device, `[vector][hidden_size]`.
type Uploaded = HashMap<usize, (Vec<Arc<[f32]>>, Tensor)>;

/// The vectors that the last pass used at each layer. While requests stay the same, nothing is
/// uploaded again.
#[derive(Debug, Default)]
pub(super) struct TapVectors {
    taps: Uploaded,
    interventions: Uploaded,
}

/// One pass's taps.
pub(super) struct Taps<'a> {
    hidden_size: usize,
    device: &'a Device,
    vectors: &'a mut TapVectors,
    /// Whether the host does the work.
    on_host: bool,
    /// Projections that were computed, `[row][vector]`, and the (segment, tap) of each column.
    read: Vec<(Tensor, Vec<(usize, usize)>)>,
}

impl<'a> Taps<'a> {
    pub(super) fn new(
        hidden_size: usize,
        segments: &mut [Segment<'_>],
        device: &'a Device,
        vectors: &'a mut TapVectors,
    ) -> Self {
        for segment in segments.iter_mut() {
            segment.resize_projections();
        }
        let simple = |segment: &Segment<'_>| {
            let is_plain_steering = |intervention: &Intervention| {
                intervention.gate.is_none() && matches!(intervention.change, Change::Add(_))
            };
            segment.states.is_none() && segment.plan.interventions().iter().all(is_plain_steering)
        };
        let on_host = !segments.iter().all(simple);
        Self { hidden_size, device, vectors, on_host, read: Vec::new() }
    }

    /// Reads, then changes, the stream at one layer.
    pub(super) fn apply(
        &mut self,
        layer: usize,
        segments: &mut [Segment<'_>],
        stream: Tensor,
    ) -> Result<Tensor> {
        let idle = |segment: &Segment<'_>| segment.states.is_none() && segment.plan.is_idle(layer);
        if segments.iter().all(idle) {
            return Ok(stream);
        }
        if self.on_host {
            let mut values: Vec<f32> = stream.flatten_all()?.to_vec1()?;
            host::apply(layer, self.hidden_size, segments, &mut values);
            return Tensor::from_vec(values, stream.shape(), self.device);
        }
        self.project(layer, segments, &stream)?;
        self.steer(layer, segments, stream)
    }

    fn project(&mut self, layer: usize, segments: &[Segment<'_>], stream: &Tensor) -> Result<()> {
        let (mut wanted, mut owners) = (Vec::new(), Vec::new());
        for (index, segment) in segments.iter().enumerate() {
            for (number, tap) in segment.plan.taps_at(layer) {
                wanted.push(tap.direction().clone());
                owners.push((index, number));
            }
        }
        if !wanted.is_empty() {
            let vectors =
                upload(&mut self.vectors.taps, layer, wanted, self.hidden_size, self.device)?;
            self.read.push((stream.matmul(&vectors.t()?)?, owners));
        }
        Ok(())
    }

    fn steer(&mut self, layer: usize, segments: &[Segment<'_>], stream: Tensor) -> Result<Tensor> {
        // `[row][vector]`: 1 where the vector is added.
        let (mut wanted, mut added, mut first) = (Vec::new(), Vec::new(), 0);
        for segment in segments {
            for (_, intervention) in segment.plan.interventions_at(layer) {
                if let Change::Add(vector) = &intervention.change {
                    let positions = (segment.start..).take(segment.tokens.len());
                    let acts = positions.map(|position| {
                        intervention.positions.include(position, segment.prompt_tokens)
                    });
                    added.extend(
                        acts.enumerate()
                            .filter(|(_, acts)| *acts)
                            .map(|(row, _)| (first + row, wanted.len())),
                    );
                    wanted.push(vector.clone());
                }
            }
            first += segment.tokens.len();
        }
        if added.is_empty() {
            return Ok(stream);
        }
        let count = wanted.len();
        let mut factors = vec![0.0_f32; first * count];
        added.into_iter().for_each(|(row, vector)| factors[row * count + vector] = 1.0);
        let vectors =
            upload(&mut self.vectors.interventions, layer, wanted, self.hidden_size, self.device)?;
        stream + Tensor::from_vec(factors, (first, count), self.device)?.matmul(&vectors)?
    }

    /// Reads all projections back.
    pub(super) fn finish(self, segments: &mut [Segment<'_>]) -> Result<()> {
        if self.read.is_empty() {
            return Ok(());
        }
        let tensors: Vec<&Tensor> = self.read.iter().map(|(tensor, _)| tensor).collect();
        let values: Vec<Vec<f32>> = Tensor::cat(&tensors, 1)?.to_vec2()?;
        let owners: Vec<(usize, usize)> =
            self.read.iter().flat_map(|(_, owners)| owners).copied().collect();
        let mut rows = values.iter();
        for (index, segment) in segments.iter_mut().enumerate() {
            let width = segment.plan.tap_count();
            for (offset, row) in rows.by_ref().take(segment.tokens.len()).enumerate() {
                let Some(read) = offset.checked_sub(segment.tap_from) else { continue };
                for (value, (_, tap)) in
                    row.iter().zip(&owners).filter(|(_, (owner, _))| *owner == index)
                {
                    segment.projections[read * width + tap] = *value;
                }
            }
        }
        Ok(())
    }
}

/// These vectors as `[vector][hidden_size]`, those of the last pass if it used the same.
fn upload(
    uploaded: &mut Uploaded,
    layer: usize,
    wanted: Vec<Arc<[f32]>>,
    hidden_size: usize,
    device: &Device,
) -> Result<Tensor> {
    if let Some((vectors, tensor)) = uploaded.get(&layer)
        && vectors.len() == wanted.len()
        && vectors.iter().zip(&wanted).all(|(a, b)| Arc::ptr_eq(a, b))
    {
        return Ok(tensor.clone());
    }
    let values: Vec<f32> = wanted.iter().flat_map(|vector| vector.iter().copied()).collect();
    let tensor = Tensor::from_vec(values, (wanted.len(), hidden_size), device)?;
    uploaded.insert(layer, (wanted, tensor.clone()));
    Ok(tensor)
}
