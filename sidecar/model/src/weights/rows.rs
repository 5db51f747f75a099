//! Matrices whose rows lie in the file in another way than one after the other.

use crate::tensor::TensorInfo;

/// Column after column, of floating-point numbers, made row after row.
pub(super) fn transposed(raw: &[u8], info: &TensorInfo) -> Vec<u8> {
    let (_, width) = info.dtype.block();
    let mut out = vec![0; raw.len()];
    for (column, values) in raw.chunks_exact(info.rows * width).enumerate() {
        for (row, value) in values.chunks_exact(width).enumerate() {
            out[(row * info.columns + column) * width..][..width].copy_from_slice(value);
        }
    }
    out
}

/// Deals parts of `size` out to two in turn.
pub(super) fn deal<T: Copy>(all: &[T], size: usize) -> [Vec<T>; 2] {
    let of = |first: usize| all.chunks_exact(size).skip(first).step_by(2).flatten().copied();
    [of(0).collect(), of(1).collect()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, Order};

    #[test]
    fn columns_become_rows_and_rows_are_dealt_out() {
        let columns = [[1_u16, 2, 3], [4, 5, 6]].concat();
        let raw: Vec<u8> = columns.iter().flat_map(|value| value.to_le_bytes()).collect();
        let order = Order::Columns;
        let (rows, columns, dtype) = (3, 2, DType::F16);
        let info = TensorInfo { rows, columns, dtype, order, offset: 0, bytes: 12 };
        let rows: Vec<u16> = transposed(&raw, &info)
            .as_chunks()
            .0
            .iter()
            .map(|&two| u16::from_le_bytes(two))
            .collect();
        assert_eq!(rows, [1, 4, 2, 5, 3, 6]);
        assert_eq!(deal(&[1, 2, 3, 4, 5, 6, 7, 8], 2), [vec![1, 2, 5, 6], vec![3, 4, 7, 8]]);
        assert_eq!(deal(&[1, 2, 3], 1), [vec![1, 3], vec![2]]);
    }
}
