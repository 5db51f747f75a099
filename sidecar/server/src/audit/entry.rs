//! What the lines of the logs say.

mod change;
mod conversation;
mod response;
mod vector_score;

pub use change::{Change, ChangeCondition, changes};
pub use conversation::Conversation;
pub use response::{ResponseEntry, response};
pub use vector_score::{VectorScore, vector_scores};
