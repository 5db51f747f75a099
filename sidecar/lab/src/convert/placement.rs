//! Which layer each vector belongs to.

use super::choice::Directions;
use personaguard_persona::LayerMatrix;
use std::collections::BTreeMap;

/// Whether a file's first row, or its number 0, is that of the embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingRow {
    /// Nobody said. It is taken to be where the number of rows tells so.
    #[default]
    Unsaid,
    /// It is.
    Present,
    /// It belongs to layer 1.
    Absent,
}

/// The model's shape, and what the user knows about a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// Layers of the model.
    pub(super) layers: u32,
    /// Width of the residual stream.
    pub(super) hidden: usize,
    /// Where a single row belongs.
    pub(super) layer: u32,
    pub(super) embedding_row: EmbeddingRow,
    /// Whether the last row is no layer's.
    pub(super) drop_last_row: bool,
}

impl Placement {
    /// Vectors at their layers; zeros at layers that have none.
    ///
    /// # Errors
    /// A sentence about the file, if it does not fit the model, or fits in two ways.
    pub(super) fn place(&self, directions: Directions) -> Result<LayerMatrix, String> {
        let by_layer = match directions {
            Directions::Rows(mut rows) => match (rows.pop(), rows.is_empty()) {
                (Some(only), true) => BTreeMap::from([(self.layer, only)]),
                (Some(last), false) => {
                    rows.push(last);
                    self.number(rows)?
                }
                (None, _) => return Err("it has no rows".to_owned()),
            },
            Directions::Numbered(rows) => self.shift(rows)?,
            Directions::ByLayer(mut rows) => {
                if self.drop_last_row {
                    rows.pop_last();
                }
                rows
            }
        };
        let layers = self.layers;
        if let Some((layer, _)) = by_layer.last_key_value().filter(|(layer, _)| **layer > layers) {
            let hint = match *layer == layers + 1 && !self.drop_last_row {
                true => ". If its last row was taken behind the final norm, give --drop-last-row",
                false => "",
            };
            return Err(format!(
                "it has a vector for layer {layer}, which is block {} counted from 0, and the \
                 model has layers 1 to {layers}, blocks 0 to {}{hint}",
                layer - 1,
                layers.saturating_sub(1)
            ));
        }
        let zeros = || vec![0.0; self.hidden];
        let rows: Vec<Vec<f32>> =
            (0..=layers).map(|layer| by_layer.get(&layer).cloned().unwrap_or_else(zeros)).collect();
        LayerMatrix::from_rows(&rows).ok_or_else(|| "its directions differ in length".to_owned())
    }

    /// Rows by layer.
    fn number(&self, mut rows: Vec<Vec<f32>>) -> Result<BTreeMap<u32, Vec<f32>>, String> {
        let found = rows.len();
        if self.drop_last_row {
            rows.pop();
        }
        let layers = self.layers as usize;
        let first = match (self.embedding_row, rows.len()) {
            (EmbeddingRow::Absent, rows) if rows == layers => 1,
            (EmbeddingRow::Unsaid | EmbeddingRow::Present, rows) if rows == layers + 1 => 0,
            (_, rows) => {
                let question = match self.embedding_row {
                    EmbeddingRow::Unsaid if rows == layers => {
                        "does it lack the embedding's row? Then give --no-embedding-row"
                    }
                    EmbeddingRow::Absent if rows == layers + 1 => {
                        "leave out --no-embedding-row, or give --drop-last-row if its last row was \
                         taken behind the final norm"
                    }
                    _ if rows == layers + 2 && !self.drop_last_row => {
                        "does its last row come from behind the final norm? Then give \
                         --drop-last-row"
                    }
                    _ => "it belongs to another model",
                };
                return Err(format!(
                    "it has {found} rows, and this model wants {}: the embedding's and one for \
                     each of {layers} layers: {question}",
                    layers + 1
                ));
            }
        };
        Ok((first..).zip(rows).collect())
    }

    /// Numbered vectors by layer.
    fn shift(&self, mut rows: BTreeMap<u32, Vec<f32>>) -> Result<BTreeMap<u32, Vec<f32>>, String> {
        if self.drop_last_row {
            rows.pop_last();
        }
        let last = rows.last_key_value().map_or(0, |(last, _)| *last);
        match self.embedding_row {
            EmbeddingRow::Absent => {
                Ok(rows.into_iter().map(|(block, row)| (block.saturating_add(1), row)).collect())
            }
            EmbeddingRow::Unsaid if rows.contains_key(&0) && last < self.layers => Err(format!(
                "its vectors are numbered 0 to {last}, and the model has {} layers: is number 0 \
                 the embedding's? Then give --embedding-row; is it that of the first layer? Then \
                 give --no-embedding-row",
                self.layers
            )),
            EmbeddingRow::Unsaid | EmbeddingRow::Present => Ok(rows),
        }
    }
}

#[cfg(test)]
mod tests;
