//! A decoder in f64, one position after another, written as in the papers.

use super::{BASE, EPSILON, LongRope, QkNorms, Tiny, VOCABULARY, YARN_CONTEXT, long_rope_length};

/// Adds to the residual stream after a layer: (layer, position, stream).
pub type Change<'a> = &'a dyn Fn(usize, usize, &mut [f64]);

pub struct Run {
    /// `[layer][position][hidden]`, before any change.
    pub states: Vec<Vec<Vec<f64>>>,
    /// `[position][hidden]`: behind the last norm, before any change of the last layer.
    pub normed: Vec<Vec<f64>>,
    /// `[position][vocabulary]`.
    pub logits: Vec<Vec<f64>>,
}

impl Tiny {
    fn weight(&self, name: &str) -> Option<Vec<f64>> {
        self.tensors.get(name).map(|values| values.iter().map(|&value| f64::from(value)).collect())
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weights = self.weight(&format!("{name}.weight")).unwrap();
        let bias = self.weight(&format!("{name}.bias"));
        let rows = weights.chunks(x.len());
        rows.enumerate()
            .map(|(row, w)| dot(w, x) + bias.as_ref().map_or(0.0, |bias| bias[row]))
            .collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        match self.weight(name) {
            None => x.to_vec(),
            Some(weights) => {
                let scale = 1.0 / (dot(x, x) / x.len() as f64 + EPSILON).sqrt();
                x.iter().zip(weights).map(|(x, w)| x * scale * w).collect()
            }
        }
    }

    fn rotate(&self, head: &mut [f64], position: usize, base: f64, scaled: bool) {
        let rotated = self.shape.rotated();
        let pairs = rotated / 2;
        let factors = self.weight("rope_freqs.weight").filter(|_| scaled);
        for pair in 0..pairs {
            let mut angle = position as f64 * base.powf(-(pair as f64) / pairs as f64);
            if let Some(factors) = &factors {
                angle /= factors[pair];
            }
            let mut length = 1.0;
            if let Some(factor) = self.shape.yarn.filter(|_| scaled) {
                // As the paper's authors implement it: the ramp runs over whole pairs, from those
                // that turn 32 times within the context of training to those that turn once.
                let turning = |times: f64| {
                    pairs as f64
                        * (f64::from(YARN_CONTEXT) / (2.0 * std::f64::consts::PI * times)).ln()
                        / base.ln()
                };
                let (first, last) = match self.shape.rounded_yarn {
                    true => (turning(32.0).floor(), turning(1.0).ceil()),
                    false => (turning(32.0), turning(1.0)),
                };
                let (first, last) = (first.max(0.0), last.min(rotated as f64 - 1.0));
                let kept = 1.0 - ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                angle = angle * kept + angle / factor * (1.0 - kept);
                length = 0.1 * factor.ln() + 1.0;
            }
            if let Some(kind) = self.shape.long_rope {
                let [short, long] = self.shape.long_rope_factors();
                angle /= f64::from(if kind == LongRope::Long { long } else { short }[pair]);
                length = long_rope_length();
            }
            let (a, b) = if self.shape.interleaved {
                (2 * pair, 2 * pair + 1)
            } else {
                (pair, pair + pairs)
            };
            let (x, y) = (head[a], head[b]);
            head[a] = length * (x * angle.cos() - y * angle.sin());
            head[b] = length * (x * angle.sin() + y * angle.cos());
        }
    }

    /// The feed-forward layer of a block, or an expert of it.
    fn feed_forward(&self, layer: usize, expert: &str, h: &[f64]) -> Vec<f64> {
        let linear = |part: &str, x: &[f64]| self.linear(&format!("blk.{layer}.{part}{expert}"), x);
        let activated = |g: f64, up: f64| {
            if self.shape.clamped {
                let (g, up) = (g.min(7.0), up.clamp(-7.0, 7.0));
                return g / (1.0 + (-1.702 * g).exp()) * (up + 1.0);
            }
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044_715 * g.powi(3));
            up * match self.shape.gelu {
                true => 0.5 * g * (1.0 + inner.tanh()),
                false => g / (1.0 + (-g).exp()),
            }
        };
        let (gate, up) = (linear("ffn_gate", h), linear("ffn_up", h));
        let gated: Vec<f64> = gate.into_iter().zip(up).map(|(g, up)| activated(g, up)).collect();
        linear("ffn_down", &gated)
    }

    pub fn run(&self, tokens: &[u32], change: Change<'_>) -> Run {
        let shape = &self.shape;
        let [_, attention, residual, divisor] =
            shape.multipliers.unwrap_or([1.0, 1.0, 1.0, 1.0]).map(f64::from);
        let attention = match shape.multipliers {
            Some(_) => attention,
            None => 1.0 / (shape.width as f64).sqrt(),
        };
        let capped = |x: f64, which: usize| match shape.caps.map(|caps| f64::from(caps[which])) {
            Some(cap) => cap * (x / cap).tanh(),
            None => x,
        };
        let embedding = self.weight("token_embd.weight").unwrap();
        let scale = shape.embedding_factor();
        let mut stream: Vec<Vec<f64>> = tokens
            .iter()
            .map(|&token| {
                embedding[token as usize * shape.hidden..][..shape.hidden]
                    .iter()
                    .map(|x| x * scale)
                    .collect()
            })
            .collect();
        let mut states = vec![stream.clone()];
        stream.iter_mut().enumerate().for_each(|(position, x)| change(0, position, x));
        for layer in 0..shape.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let period = shape.window_period;
            let windowed = shape.window.filter(|_| period == 1 || (layer + 1) % period != 0);
            let own_base = shape.window_base.filter(|_| windowed.is_some());
            let (base, scaled) = (own_base.unwrap_or(BASE), own_base.is_none());
            let (mut keys, mut values): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
            for (position, x) in stream.iter_mut().enumerate() {
                let h = self.norm(&name("attn_norm.weight"), x);
                let positioned = |part: &str| -> Vec<f64> {
                    let all = self.linear(&name(&format!("attn_{part}")), &h);
                    let together = match shape.qk_norms {
                        Some(QkNorms::AllHeads) => all.len(),
                        _ => shape.width,
                    };
                    let normed = all.chunks(together).flat_map(|part_of_all| {
                        self.norm(&name(&format!("attn_{part}_norm.weight")), part_of_all)
                    });
                    let normed: Vec<f64> = normed.collect();
                    let heads = normed.chunks(shape.width).map(|head| {
                        let mut head = head.to_vec();
                        self.rotate(&mut head, position, base, scaled);
                        head
                    });
                    heads.flatten().collect()
                };
                let queries = positioned("q");
                keys.push(positioned("k"));
                values.push(self.linear(&name("attn_v"), &h));
                let first = windowed.map_or(0, |window| (position + 1).saturating_sub(window));
                let mut mixed = Vec::new();
                for (head, query) in queries.chunks(shape.width).enumerate() {
                    let at = head / (shape.heads / shape.kv_heads) * shape.width;
                    let score = |p: usize| {
                        capped(dot(query, &keys[p][at..at + shape.width]) * attention, 0)
                    };
                    let weights: Vec<f64> = (first..=position).map(|p| score(p).exp()).collect();
                    let mut sum: f64 = weights.iter().sum();
                    if let Some(sinks) = self.weight(&name("attn_sinks.weight")) {
                        sum += sinks[head].exp();
                    }
                    for d in 0..shape.width {
                        let value = |(p, w): (usize, &f64)| w / sum * values[first + p][at + d];
                        mixed.push(weights.iter().enumerate().map(value).sum());
                    }
                }
                let h = self.norm(
                    &name("post_attention_norm.weight"),
                    &self.linear(&name("attn_output"), &mixed),
                );
                x.iter_mut().zip(h).for_each(|(x, h)| *x += residual * h);
                let h = self.norm(&name("ffn_norm.weight"), x);
                let h = match shape.experts {
                    None => self.feed_forward(layer, "", &h),
                    Some([_, used]) => {
                        let scores = self.linear(&name("ffn_gate_inp"), &h);
                        let mut best: Vec<usize> = (0..scores.len()).collect();
                        best.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
                        let all = best.clone();
                        best.truncate(used);
                        let summed = if shape.normalized_experts { &best } else { &all };
                        let sum: f64 = summed.iter().map(|&expert| scores[expert].exp()).sum();
                        let mut mixed = vec![0.0; h.len()];
                        for expert in best {
                            let weight = scores[expert].exp() / sum;
                            let given = self.feed_forward(layer, &format!(".{expert}"), &h);
                            mixed.iter_mut().zip(given).for_each(|(m, g)| *m += weight * g);
                        }
                        if shape.shared_expert.is_some() {
                            let gate = self.weight(&name("ffn_gate_inp_shexp.weight")).unwrap();
                            let weight = 1.0 / (1.0 + (-dot(&gate, &h)).exp());
                            let given = self.feed_forward(layer, "_shexp", &h);
                            mixed.iter_mut().zip(given).for_each(|(m, g)| *m += weight * g);
                        }
                        mixed
                    }
                };
                let h = self.norm(&name("post_ffw_norm.weight"), &h);
                x.iter_mut().zip(h).for_each(|(x, h)| *x += residual * h);
            }
            states.push(stream.clone());
            stream.iter_mut().enumerate().for_each(|(position, x)| change(layer + 1, position, x));
        }
        let output =
            if self.tensors.contains_key("output.weight") { "output" } else { "token_embd" };
        let normed = states[shape.layers].iter().map(|x| self.norm("output_norm.weight", x));
        let normed = normed.collect();
        let logits: Vec<Vec<f64>> = stream
            .iter()
            .map(|x| self.linear(output, &self.norm("output_norm.weight", x)))
            .map(|logits| logits.into_iter().map(|logit| capped(logit / divisor, 1)).collect())
            .collect();
        assert_eq!(logits[0].len(), VOCABULARY);
        Run { states, normed, logits }
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Natural logarithms of probabilities.
pub fn logprobs(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x - sum.ln()).collect()
}
