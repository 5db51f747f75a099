//! Taps on a device. Projections and steering are one small product for each tapped layer, and all
//! projections of a pass are read back at once, at its end. What needs more than that (caps, gates,
//! sums of hidden states) makes the layers that it concerns travel to the host, where the
//! processor's own code does it.

use super::super::{Segment, hooks};
use crate::config::Config;
use crate::engine::request::Change;
use candle_core::{Device, Result, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// By layer: vectors, and the same on the device, `[vector][hidden]`.
type Kept = HashMap<usize, (Vec<Arc<[f32]>>, Tensor)>;

/// Vectors on the device, for each layer those that the last pass used: as long as requests are the
/// same, nothing is uploaded.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    probes: Kept,
    changes: Kept,
}

/// One pass's taps.
pub(super) struct Taps<'a> {
    hidden: usize,
    device: &'a Device,
    vectors: &'a mut Vectors,
    on_host: bool,
    /// Projections that were computed, `[row][vector]`, and which (segment, probe) each column is
    /// of.
    read: Vec<(Tensor, Vec<(usize, usize)>)>,
}

impl<'a> Taps<'a> {
    pub(super) fn new(
        config: &Config,
        segments: &mut [Segment<'_>],
        device: &'a Device,
        vectors: &'a mut Vectors,
    ) -> Self {
        for segment in segments.iter_mut() {
            segment.make_room_for_projections();
        }
        let simple = |segment: &Segment<'_>| {
            let plain = |change: &crate::engine::request::Intervention| {
                change.gate.is_none() && matches!(change.change, Change::Add(_))
            };
            segment.states.is_none() && segment.hooks.interventions().iter().all(plain)
        };
        let on_host = !segments.iter().all(simple);
        Self { hidden: config.hidden, device, vectors, on_host, read: Vec::new() }
    }

    /// Reads, then changes, the stream at one layer.
    pub(super) fn apply(
        &mut self,
        layer: usize,
        segments: &mut [Segment<'_>],
        stream: Tensor,
    ) -> Result<Tensor> {
        let idle = |segment: &Segment<'_>| segment.states.is_none() && segment.hooks.is_idle(layer);
        if segments.iter().all(idle) {
            return Ok(stream);
        }
        if self.on_host {
            let mut values: Vec<f32> = stream.flatten_all()?.to_vec1()?;
            hooks::apply(layer, self.hidden, segments, &mut values);
            return Tensor::from_vec(values, stream.shape(), self.device);
        }
        self.project(layer, segments, &stream)?;
        self.steer(layer, segments, stream)
    }

    fn project(&mut self, layer: usize, segments: &[Segment<'_>], stream: &Tensor) -> Result<()> {
        let (mut wanted, mut owners) = (Vec::new(), Vec::new());
        for (index, segment) in segments.iter().enumerate() {
            for (number, probe) in segment.hooks.probes_at(layer) {
                wanted.push(probe.direction.clone());
                owners.push((index, number));
            }
        }
        if !wanted.is_empty() {
            let vectors =
                upload(&mut self.vectors.probes, layer, wanted, self.hidden, self.device)?;
            self.read.push((stream.matmul(&vectors.t()?)?, owners));
        }
        Ok(())
    }

    fn steer(&mut self, layer: usize, segments: &[Segment<'_>], stream: Tensor) -> Result<Tensor> {
        // `[row][vector]`: 1 where the vector is added.
        let (mut wanted, mut added, mut first) = (Vec::new(), Vec::new(), 0);
        for segment in segments {
            for change in segment.hooks.changes_at(layer) {
                if let Change::Add(vector) = &change.change {
                    let positions = (segment.start..).take(segment.tokens.len());
                    let acts = positions
                        .map(|position| change.positions.include(position, segment.prompt_tokens));
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
        let vectors = upload(&mut self.vectors.changes, layer, wanted, self.hidden, self.device)?;
        stream + Tensor::from_vec(factors, (first, count), self.device)?.matmul(&vectors)?
    }

    /// Brings all projections back.
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
            let width = segment.hooks.probes();
            for (offset, row) in rows.by_ref().take(segment.tokens.len()).enumerate() {
                let Some(read) = offset.checked_sub(segment.read_from) else { continue };
                for (value, (_, probe)) in
                    row.iter().zip(&owners).filter(|(_, (owner, _))| *owner == index)
                {
                    segment.projections[read * width + probe] = *value;
                }
            }
        }
        Ok(())
    }
}

/// These vectors as `[vector][hidden]`, from the last pass if it used the same.
fn upload(
    kept: &mut Kept,
    layer: usize,
    wanted: Vec<Arc<[f32]>>,
    hidden: usize,
    device: &Device,
) -> Result<Tensor> {
    if let Some((vectors, tensor)) = kept.get(&layer)
        && vectors.len() == wanted.len()
        && vectors.iter().zip(&wanted).all(|(a, b)| Arc::ptr_eq(a, b))
    {
        return Ok(tensor.clone());
    }
    let values: Vec<f32> = wanted.iter().flat_map(|vector| vector.iter().copied()).collect();
    let tensor = Tensor::from_vec(values, (wanted.len(), hidden), device)?;
    kept.insert(layer, (wanted, tensor.clone()));
    Ok(tensor)
}
