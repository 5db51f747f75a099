use super::*;
use crate::kernel::pack;

const ALL: [DType; 15] = [
    DType::F32,
    DType::F16,
    DType::Bf16,
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q8_0,
    DType::Q2K,
    DType::Q3K,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
    DType::Iq4Nl,
    DType::Iq4Xs,
];

/// Every byte of a block in turn is part of a NaN; only where that is one of the block's numbers is
/// the block refused, and then the values that it stands for are no numbers either.
#[test]
fn number_9_a_block_is_refused_exactly_where_its_numbers_are_none() {
    for dtype in ALL {
        let (_, width) = dtype.block();
        let zeros = vec![0; 3 * width];
        assert!(dtype.is_finite(&zeros), "{dtype:?}");
        let numbers: Vec<usize> = match dtype {
            DType::F32 => vec![3],
            DType::F16 | DType::Bf16 => vec![1],
            DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => vec![1, 3],
            DType::Q2K => vec![81, 83],
            DType::Q3K => vec![109],
            DType::Q6K => vec![209],
            _ => vec![1],
        };
        for at in 0..width {
            let mut raw = zeros.clone();
            // The sign and the exponent of F16; of the others, with the byte before.
            raw[width + at] = 0x7f;
            if at > 0 {
                raw[width + at - 1] = 0xff;
            }
            let is_number = numbers.contains(&at);
            let next_to = numbers.contains(&(at + 1)) && raw[width + at + 1] == 0x7f;
            assert_eq!(dtype.is_finite(&raw), !(is_number || next_to), "{dtype:?} at {at}");
        }
    }
    // One format for each way to unpack: the kernels agree about where the numbers are.
    let _ = pack::format_of(DType::F32);
}
