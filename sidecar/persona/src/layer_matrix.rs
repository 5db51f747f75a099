//! One vector for each layer of a model.

/// One vector for each layer, shape `[layers + 1, hidden]`. Row 0 is the embedding output, row ℓ
/// the residual stream after block ℓ.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMatrix {
    hidden: usize,
    /// Row-major.
    values: Vec<f32>,
}

impl LayerMatrix {
    /// Builds a matrix from its rows. `None` if there are fewer than two, if they are empty, or if
    /// their lengths differ.
    #[must_use]
    pub fn from_rows(rows: &[Vec<f32>]) -> Option<Self> {
        let hidden = rows.first()?.len();
        let valid = rows.len() >= 2 && hidden > 0 && rows.iter().all(|row| row.len() == hidden);
        valid.then(|| Self { hidden, values: rows.concat() })
    }

    /// Builds a matrix from row-major values. `None` if they do not make up at least two whole rows
    /// of `hidden` values.
    #[must_use]
    pub fn from_flat(hidden: usize, values: Vec<f32>) -> Option<Self> {
        let valid = hidden > 0 && values.len().is_multiple_of(hidden) && values.len() / hidden >= 2;
        valid.then_some(Self { hidden, values })
    }

    /// Number of layers, not counting the embedding output.
    #[must_use]
    pub fn layers(&self) -> u32 {
        (self.values.len() / self.hidden - 1) as u32
    }

    /// Width of the residual stream.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// The vector after block `layer`, shape `[hidden]`; 0 is the embedding output. `None` if the
    /// model has fewer layers.
    #[must_use]
    pub fn layer(&self, layer: u32) -> Option<&[f32]> {
        self.rows().nth(layer as usize)
    }

    /// The vectors of layers 0, 1, …, each of shape `[hidden]`.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.hidden)
    }

    /// All values, row-major.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }
}
