//! What an adapter adds to one matrix.

/// s · B · A; with DoRA, rows of W + s · B · A are then brought to given lengths.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// Name of the module in the adapter.
    pub(super) module: String,
    pub(super) rank: usize,
    /// s.
    pub(super) scale: f32,
    /// `[rank][columns]`.
    pub(super) a: Vec<f32>,
    /// `[rows][rank]`.
    pub(super) b: Vec<f32>,
    /// Lengths of rows (DoRA: Liu et al., arXiv 2402.09353), `[rows]`; empty without.
    pub(super) magnitudes: Vec<f32>,
}

impl Delta {
    /// The deltas of parts of the matrix, row below row: names and rows. `None` where its rows are
    /// others than those of all parts.
    pub(super) fn split(self, parts: Vec<(String, usize)>) -> Option<Vec<(String, Self)>> {
        let rows: usize = parts.iter().map(|(_, rows)| rows).sum();
        let has_magnitudes = !self.magnitudes.is_empty();
        let is_whole =
            self.b.len() == rows * self.rank && (!has_magnitudes || self.magnitudes.len() == rows);
        let mut first = 0;
        let part = |(name, rows): (String, usize)| {
            let range = first..first + rows;
            first += rows;
            let magnitudes = match has_magnitudes {
                true => self.magnitudes[range.clone()].to_vec(),
                false => Vec::new(),
            };
            let b = self.b[range.start * self.rank..range.end * self.rank].to_vec();
            (name, Self { module: self.module.clone(), a: self.a.clone(), b, magnitudes, ..self })
        };
        is_whole.then(|| parts.into_iter().map(part).collect())
    }
}

/// The delta of a matrix whose shape it has.
#[derive(Debug)]
pub(crate) struct MatrixDelta {
    delta: Delta,
    columns: usize,
}

impl MatrixDelta {
    /// `None` where the delta is not `rows` × `columns`.
    pub(super) fn new(delta: Delta, rows: usize, columns: usize) -> Option<Self> {
        let expected = (delta.rank * columns, rows * delta.rank);
        let has_magnitudes = [0, rows].contains(&delta.magnitudes.len());
        ((delta.a.len(), delta.b.len()) == expected && has_magnitudes)
            .then_some(Self { delta, columns })
    }

    /// Adds to `values`, whole rows of the matrix from row `first` on.
    pub(crate) fn add_to(&self, values: &mut [f32], first: usize) {
        let Delta { rank, scale, a, b, magnitudes, .. } = &self.delta;
        for (row, values) in values.chunks_exact_mut(self.columns).enumerate() {
            let factors = &b[(first + row) * rank..][..*rank];
            for (factor, a) in factors.iter().zip(a.chunks_exact(self.columns)) {
                values.iter_mut().zip(a).for_each(|(value, a)| *value += scale * factor * a);
            }
            if let Some(magnitude) = magnitudes.get(first + row) {
                let square: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
                let stretch = (f64::from(*magnitude) / square.sqrt()) as f32;
                values.iter_mut().for_each(|value| *value *= stretch);
            }
        }
    }
}
