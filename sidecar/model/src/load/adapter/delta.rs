//! What an adapter adds to one matrix.

/// s · B · A.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) rank: usize,
    /// s.
    pub(super) scale: f32,
    /// `[rank][columns]`.
    pub(super) a: Vec<f32>,
    /// `[rows][rank]`.
    pub(super) b: Vec<f32>,
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
        ((delta.a.len(), delta.b.len()) == expected).then_some(Self { delta, columns })
    }

    /// Adds to `values`, whole rows of the matrix from row `first` on.
    pub(crate) fn add_to(&self, values: &mut [f32], first: usize) {
        let Delta { rank, scale, a, b } = &self.delta;
        for (row, values) in values.chunks_exact_mut(self.columns).enumerate() {
            let factors = &b[(first + row) * rank..][..*rank];
            for (factor, a) in factors.iter().zip(a.chunks_exact(self.columns)) {
                values.iter_mut().zip(a).for_each(|(value, a)| *value += scale * factor * a);
            }
        }
    }
}
