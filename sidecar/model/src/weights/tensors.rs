//! Tensors by name, packed as they are read.

use super::rows;
use super::stream::{CHUNK, HashingReader, read_and_hash};
use crate::error::LoadError;
use crate::kernel::layout::LANES;
use crate::kernel::matrix::Matrix;
use crate::kernel::pack;
use crate::load::adapter::Adapter;
use crate::load::{Sha256Digest, TensorFile, fused};
use crate::pool::ThreadPool;
use crate::tensor::{DType, Order, TensorInfo, decode_floats, not_finite};
use std::borrow::Cow;
use std::collections::HashMap;

/// Tensors by name, each of which is taken out once.
pub(super) struct Tensors {
    matrices: HashMap<String, Matrix>,
    vectors: HashMap<String, Vec<f32>>,
    /// Matrices of which only codes or only scales were read, and which of these.
    halves: HashMap<String, String>,
    adapter: Adapter,
    norm_offset: f32,
}

impl Tensors {
    /// No tensors yet. `norm_offset` is added to the factors of norms.
    pub(super) fn new(adapter: Adapter, norm_offset: f32) -> Self {
        let (matrices, vectors, halves) = Default::default();
        Self { matrices, vectors, halves, adapter, norm_offset }
    }

    pub(super) fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Reads a file to its end. Returns its digest.
    pub(super) fn read(
        &mut self,
        file: &mut TensorFile,
        pool: &ThreadPool,
    ) -> Result<Sha256Digest, LoadError> {
        file.tensors.sort_by_key(|(_, info)| info.offset);
        let tensors = &file.tensors;
        read_and_hash(&mut file.file, |reader| {
            tensors.iter().try_for_each(|(name, info)| self.read_tensor(reader, name, info, pool))
        })
    }

    fn read_tensor(
        &mut self,
        reader: &mut HashingReader<'_>,
        name: &str,
        info: &TensorInfo,
        pool: &ThreadPool,
    ) -> Result<(), LoadError> {
        if info.offset < reader.position() {
            return Err(LoadError::corrupt(format!("tensor {name} overlaps another")));
        }
        reader.skip_to(info.offset)?;
        let in_turn = fused::in_turn(name);
        if info.rows == 1 {
            let raw = reader.read(info.bytes)?;
            let vector = decode_floats(name, info.dtype, &raw)?;
            if vector.iter().any(|value| !value.is_finite()) {
                return Err(not_finite(name));
            }
            match in_turn {
                None => drop(self.vectors.insert(name.to_owned(), vector)),
                Some(names) => self.vectors.extend(names.into_iter().zip(rows::deal(&vector, 1))),
            }
            return Ok(());
        }
        let is_plain = info.order == Order::Rows && in_turn.is_none() && !info.dtype.is_a_part();
        if is_plain {
            let matrix = self.read_matrix(reader, name, info, pool)?;
            return self.put(name, matrix);
        }
        let raw = reader.read(info.bytes)?;
        if !info.dtype.is_finite(&raw) {
            return Err(not_finite(name));
        }
        let row_bytes = info.dtype.row_bytes(info.columns);
        let raw = match info.order {
            Order::Rows => raw.as_slice().into(),
            Order::Columns => Cow::Owned(rows::transposed(&raw, info)),
        };
        match in_turn {
            None => self.pack(name, info, &raw, pool),
            Some(names) => {
                let mut dealt = names.iter().zip(rows::deal(&raw, row_bytes));
                dealt.try_for_each(|(name, raw)| self.pack(name, info, &raw, pool))
            }
        }
    }

    /// Packs rows of a matrix, whole or only its codes or scales.
    fn pack(
        &mut self,
        name: &str,
        info: &TensorInfo,
        raw: &[u8],
        pool: &ThreadPool,
    ) -> Result<(), LoadError> {
        let rows = raw.len() / info.dtype.row_bytes(info.columns);
        let new = || Matrix::new(pack::format_of(info.dtype), rows, info.columns);
        if !info.dtype.is_a_part() {
            let mut matrix = new();
            pack::pack(pool, info.dtype, raw, &mut matrix, 0);
            return self.put(name, matrix);
        }
        let whole = name.rsplit_once('.').map_or(name, |(before, _)| before);
        let whole = format!("{whole}.weight");
        let mut matrix = match self.halves.remove(&whole) {
            Some(_) => self.matrices.remove(&whole).ok_or_else(|| missing(&whole))?,
            None => {
                self.halves.insert(whole.clone(), name.to_owned());
                new()
            }
        };
        if (matrix.rows, matrix.columns) != (rows, info.columns) {
            return Err(LoadError::corrupt(format!(
                "the codes and the scales of tensor {whole} are of different shapes"
            )));
        }
        pack::pack(pool, info.dtype, raw, &mut matrix, 0);
        self.put(&whole, matrix)
    }

    fn put(&mut self, name: &str, matrix: Matrix) -> Result<(), LoadError> {
        match self.matrices.insert(name.to_owned(), matrix) {
            None => Ok(()),
            Some(_) => Err(LoadError::corrupt(format!("tensor {name} is there twice"))),
        }
    }

    /// # Errors
    /// Of a matrix there are codes without scales, or scales without codes.
    pub(super) fn check_whole(&self) -> Result<(), LoadError> {
        match self.halves.values().min() {
            None => Ok(()),
            Some(half) => Err(LoadError::incomplete(format!(
                "of codes and scales of a matrix, the weights hold only {half}"
            ))),
        }
    }

    fn read_matrix(
        &mut self,
        reader: &mut HashingReader<'_>,
        name: &str,
        info: &TensorInfo,
        pool: &ThreadPool,
    ) -> Result<Matrix, LoadError> {
        let delta = self.adapter.take(name, info)?;
        // A matrix with a delta is held in F32: rounding to fewer bits could lose a small delta.
        let dtype = if delta.is_some() { DType::F32 } else { info.dtype };
        let mut matrix = Matrix::new(pack::format_of(dtype), info.rows, info.columns);
        let group_bytes = info.dtype.row_bytes(info.columns) * LANES;
        let groups_per_read = (CHUNK / group_bytes).max(1);
        let mut left = info.bytes;
        for first_group in (0..matrix.groups()).step_by(groups_per_read) {
            let raw = reader.read(left.min(groups_per_read * group_bytes))?;
            left -= raw.len();
            if !info.dtype.is_finite(&raw) {
                return Err(not_finite(name));
            }
            match &delta {
                None => pack::pack(pool, dtype, &raw, &mut matrix, first_group),
                Some(delta) => {
                    let mut values = decode_floats(name, info.dtype, &raw)?;
                    delta.add_to(&mut values, first_group * LANES);
                    if values.iter().any(|value| !value.is_finite()) {
                        return Err(not_finite(name));
                    }
                    let raw: Vec<u8> =
                        values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    pack::pack(pool, dtype, &raw, &mut matrix, first_group);
                }
            }
        }
        Ok(matrix)
    }

    pub(super) fn has_matrix(&self, name: &str) -> bool {
        self.matrices.contains_key(name)
    }

    /// Takes a matrix of this shape; `None` for any number of rows.
    pub(super) fn matrix(
        &mut self,
        name: &str,
        rows: Option<usize>,
        columns: usize,
    ) -> Result<Matrix, LoadError> {
        let matrix = self.matrices.remove(name).ok_or_else(|| missing(name))?;
        if matrix.columns != columns || rows.is_some_and(|rows| matrix.rows != rows) {
            return Err(LoadError::corrupt(format!(
                "tensor {name} is {} × {}, which the header contradicts",
                matrix.rows, matrix.columns
            )));
        }
        Ok(matrix)
    }

    /// Takes a vector of this length, if there is one.
    pub(super) fn optional_vector(
        &mut self,
        name: &str,
        length: usize,
    ) -> Result<Option<Vec<f32>>, LoadError> {
        match self.vectors.remove(name) {
            Some(vector) if vector.len() != length => Err(LoadError::corrupt(format!(
                "tensor {name} has {} values, expected {length}",
                vector.len()
            ))),
            other => Ok(other),
        }
    }

    /// Takes a vector of this length.
    pub(super) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        self.optional_vector(name, length)?.ok_or_else(|| missing(name))
    }

    /// Takes a vector of this length, if there is one, by whose values something is divided.
    pub(super) fn optional_divisors(
        &mut self,
        name: &str,
        length: usize,
    ) -> Result<Option<Vec<f32>>, LoadError> {
        let divisors = self.optional_vector(name, length)?;
        match divisors.iter().flatten().all(|divisor| *divisor > 0.0 && divisor.is_normal()) {
            true => Ok(divisors),
            false => Err(LoadError::corrupt(format!(
                "tensor {name} holds a divisor that is not positive"
            ))),
        }
    }

    /// Takes a norm's factors, if there is one, which may have either length.
    pub(super) fn optional_norm(
        &mut self,
        name: &str,
        [length, other]: [usize; 2],
    ) -> Result<Option<Vec<f32>>, LoadError> {
        let is_other = self.vectors.get(name).is_some_and(|norm| norm.len() == other);
        let mut norm = self.optional_vector(name, if is_other { other } else { length })?;
        norm.iter_mut().flatten().for_each(|factor| *factor += self.norm_offset);
        Ok(norm)
    }

    /// Takes a norm's factors.
    pub(super) fn norm(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        self.optional_norm(name, [length; 2])?.ok_or_else(|| missing(name))
    }

    /// The first tensor, by name, that was not taken.
    pub(super) fn any_left(&self) -> Option<&str> {
        self.matrices.keys().chain(self.vectors.keys()).min().map(String::as_str)
    }
}

fn missing(name: &str) -> LoadError {
    LoadError::corrupt(format!("tensor {name} is missing"))
}
