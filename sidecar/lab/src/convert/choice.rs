//! Which of a file's tensors are the vectors.

use super::found::Found;
use super::name::{Numbering, numbered};
use std::collections::BTreeMap;

/// Vectors whose layers are not settled yet.
#[derive(Debug, PartialEq)]
pub(super) enum Directions {
    /// Rows in the order of the layers, from the embedding's or from the first layer's.
    Rows(Vec<Vec<f32>>),
    /// By numbers in the file, which count layers from 1, or blocks from 0.
    Numbered(BTreeMap<u32, Vec<f32>>),
    /// By layer.
    ByLayer(BTreeMap<u32, Vec<f32>>),
}

/// The vectors of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) directions: Directions,
    /// How many other tensors there are.
    pub(super) passed_over: usize,
}

/// What vectors are wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Name of the tensor, or of the dictionary that they are in, if it is given.
    pub(super) tensor: Option<&'a str>,
    pub(super) trait_name: &'a str,
    /// Width of the residual stream.
    pub(super) hidden: usize,
}

/// Vectors that a file may mean: a tensor, or one for each layer.
struct Candidate {
    name: String,
    numbering: Option<Numbering>,
    /// By number.
    tensors: BTreeMap<u32, Found>,
}

/// Chooses the vectors among the tensors of a file: those of the name that is wanted, those named
/// after the trait, or those that alone have rows of the model's width.
///
/// # Errors
/// A sentence about the file, if there are no such tensors, or several.
pub(super) fn choose(found: Vec<Found>, wanted: Wanted<'_>) -> Result<Choice, String> {
    let all = found.len();
    let names = list(found.iter().map(|tensor| tensor.name.clone()));
    let found = match wanted.tensor {
        Some(name) if !found.iter().any(|tensor| is_in(tensor, name)) => {
            return Err(format!(
                "it has no tensor {name}, but {names}: name one of them with --tensor"
            ));
        }
        Some(name) => keep(found, name),
        None => ["response_avg", wanted.trait_name].into_iter().fold(found, keep),
    };
    let misfit = misfit(&found, wanted.hidden);
    let mut candidates = candidates(found, wanted.hidden);
    match (candidates.pop(), candidates.pop()) {
        (Some(only), None) => {
            let passed_over = all - only.tensors.len();
            Ok(Choice { directions: only.directions(wanted.hidden)?, passed_over })
        }
        (Some(one), Some(other)) => {
            candidates.extend([other, one]);
            let names = list(candidates.into_iter().map(|candidate| candidate.name));
            Err(format!("it has several tensors that may be the vectors ({names}): give --tensor"))
        }
        (None, _) => Err(misfit),
    }
}

/// The tensors of a name, or all if there is none of it.
fn keep(found: Vec<Found>, name: &str) -> Vec<Found> {
    if !found.iter().any(|tensor| is_in(tensor, name)) {
        return found;
    }
    found.into_iter().filter(|tensor| is_in(tensor, name)).collect()
}

/// Whether a tensor has a name, or is in a dictionary or a list of it.
fn is_in(tensor: &Found, name: &str) -> bool {
    tensor
        .name
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn candidates(found: Vec<Found>, hidden: usize) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for tensor in found {
        match (tensor.rows(), numbered(&tensor.name)) {
            (Some((1, width)), Some((name, numbering, number))) if width == hidden => {
                let same = candidates.iter_mut().find(|other| other.name == name);
                match same {
                    Some(candidate) => drop(candidate.tensors.insert(number, tensor)),
                    None => candidates.push(Candidate {
                        name,
                        numbering: Some(numbering),
                        tensors: BTreeMap::from([(number, tensor)]),
                    }),
                }
            }
            (Some((_, width)), _) if width == hidden => candidates.push(Candidate {
                name: tensor.name.clone(),
                numbering: None,
                tensors: BTreeMap::from([(0, tensor)]),
            }),
            _ => {}
        }
    }
    candidates
}

impl Candidate {
    fn directions(self, hidden: usize) -> Result<Directions, String> {
        let mut rows = Vec::new();
        for (number, tensor) in self.tensors {
            rows.extend(tensor.into_rows(hidden)?.into_iter().map(|row| (number, row)));
        }
        Ok(match self.numbering {
            None | Some(Numbering::List) => {
                Directions::Rows(rows.into_iter().map(|(_, row)| row).collect())
            }
            Some(Numbering::Layers) => Directions::Numbered(rows.into_iter().collect()),
            Some(Numbering::Blocks) => Directions::ByLayer(
                rows.into_iter().map(|(block, row)| (block.saturating_add(1), row)).collect(),
            ),
        })
    }
}

/// Why no tensor fits.
fn misfit(found: &[Found], hidden: usize) -> String {
    match found {
        [] => "it holds no tensor: save the matrix of the vectors in it".to_owned(),
        [only] => {
            let shape = &only.shape;
            match only.rows() {
                Some((rows, width)) if rows == hidden && rows != width => format!(
                    "its tensor has shape {shape:?}, which is transposed: save \
                     tensor.T.contiguous(), [layers + 1, hidden]"
                ),
                Some((_, width)) => format!(
                    "its rows have {width} values, and the model's layers {hidden}: it belongs to \
                     another model"
                ),
                None => format!(
                    "its tensor has shape {shape:?}, not [layers + 1, hidden]: save the one matrix \
                     of it that you want, such as tensor[-1]"
                ),
            }
        }
        several => format!(
            "none of its {} tensors has rows of {hidden} values, as the model's layers have: it \
             belongs to another model",
            several.len()
        ),
    }
}

/// Names, the first few of them.
fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = names.take(SHOWN).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests;
