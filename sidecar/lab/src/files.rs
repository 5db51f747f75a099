//! Files that the lab reads and writes.

mod bytes;
mod conversations;
mod tensors;
mod vectors;

pub use bytes::{read_file, read_text, remove_files, write_file};
pub use conversations::{Conversation, ReadOptions, Reading, Skipped, read_conversations};
pub use tensors::{Tensor, write_tensors};
pub use vectors::{LoadedVector, check_model, read_vector, read_vectors, trait_specs};
