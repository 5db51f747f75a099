//! Vectors of other tools: `.pt` files of the paper's repository, plain safetensors, and GGUF
//! control vectors as repeng and llama.cpp use them.

mod error;
mod flat;
mod gguf;
mod pickle;
mod safetensors;
mod torch;

pub use error::ImportError;
pub use gguf::{export_gguf, import_gguf};
pub use safetensors::import_safetensors;
pub use torch::import_torch;
