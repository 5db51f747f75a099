use super::*;

const ALL: [DType; 18] = [
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
    DType::Mxfp4,
    DType::Mxfp4Codes,
    DType::Mxfp4Scales,
];

/// Every byte of a block in turn becomes that of a NaN. The block is refused exactly where it holds
/// a number: codes may be anything.
#[test]
fn number_9_a_block_is_refused_exactly_where_its_numbers_are_none() {
    for dtype in ALL {
        let (_, width) = dtype.block();
        let zeros = vec![0; 3 * width];
        assert!(dtype.is_finite(&zeros), "{dtype:?}");
        // The last byte of each number, as `ggml-common.h` lays the blocks out.
        let numbers: &[usize] = match dtype {
            DType::F32 => &[3],
            DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => &[1, 3],
            DType::Q2K => &[81, 83],
            DType::Q3K => &[109],
            DType::Q6K => &[209],
            // Scales of one byte, see below.
            DType::Mxfp4 | DType::Mxfp4Codes | DType::Mxfp4Scales => &[],
            _ => &[1],
        };
        for at in 0..width {
            let mut raw = zeros.clone();
            raw[width + at] = 0x7f;
            if matches!(dtype, DType::F32 | DType::Bf16) && at > 0 {
                // Their exponents reach into the byte before.
                raw[width + at - 1] = 0xff;
            }
            assert_eq!(dtype.is_finite(&raw), !numbers.contains(&at), "{dtype:?} at {at}");
        }
    }
}

/// The scale of MXFP4 is an exponent: 255 stands for NaN, and large ones are beyond F16.
#[test]
fn number_9_exponents_beyond_what_can_be_held_are_refused() {
    for dtype in [DType::Mxfp4, DType::Mxfp4Scales] {
        let (_, width) = dtype.block();
        for exponent in 0..=u8::MAX {
            let mut raw = vec![0; 3 * width];
            raw[width] = exponent;
            assert_eq!(dtype.is_finite(&raw), exponent <= 143, "{dtype:?} {exponent}");
        }
    }
    assert!(DType::Mxfp4Codes.is_finite(&[0xff; 32]));
}
