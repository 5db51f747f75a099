//! Storage types by their numbers in a GGUF file.

use super::reader::GgufError;
use crate::tensor::DType;

/// The storage type with this number in ggml's `ggml_type`; `tensor` is named in the error.
pub(super) fn dtype(code: u32, tensor: &str) -> Result<DType, GgufError> {
    Ok(match code {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::Q4_0,
        3 => DType::Q4_1,
        6 => DType::Q5_0,
        7 => DType::Q5_1,
        8 => DType::Q8_0,
        10 => DType::Q2K,
        11 => DType::Q3K,
        12 => DType::Q4K,
        13 => DType::Q5K,
        14 => DType::Q6K,
        20 => DType::Iq4Nl,
        23 => DType::Iq4Xs,
        30 => DType::Bf16,
        39 => DType::Mxfp4,
        other => {
            let name = match other {
                9 => "Q8_1",
                15 => "Q8_K",
                16 => "IQ2_XXS",
                17 => "IQ2_XS",
                18 => "IQ3_XXS",
                19 => "IQ1_S",
                21 => "IQ3_S",
                22 => "IQ2_S",
                24..=28 => "integers, or F64",
                29 => "IQ1_M",
                34 => "TQ1_0",
                35 => "TQ2_0",
                40 => "NVFP4",
                _ => "unknown",
            };
            return Err(GgufError::Unsupported(format!(
                "tensor {tensor} has quantization type {other} ({name}); use a file in Q4_0 to \
                 Q8_0, a K-quant, IQ4_NL, IQ4_XS, MXFP4, F16, BF16 or F32"
            )));
        }
    })
}
