//! A tiny chat model with random weights, for tests that need a model and not its wits. It answers
//! in a salad of English words, which depends on every word before it.
//!
//! It has one trait: cruelty. Cruel words and kind ones lie apart along one direction of the
//! residual stream, and what is added along it makes the one or the other likelier.
//!
//! Its file is the same on every machine, a few megabytes, and made in no time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "numbers are small")]

pub mod gguf;
mod shape;
mod vocabulary;
mod weights;

pub use shape::{CONTEXT_LENGTH, HIDDEN, LAYERS};

use std::fs;
use std::path::{Path, PathBuf};
use vocabulary::Vocabulary;

/// ChatML.
const TEMPLATE: &str = "\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}";

/// The weight file, in `folder`: written there unless it is there already.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn file(folder: &Path) -> PathBuf {
    let path = folder.join(concat!("tiny-", env!("CARGO_PKG_VERSION"), ".gguf"));
    let bytes = bytes();
    if fs::read(&path).is_ok_and(|existing| existing == bytes) {
        return path;
    }
    // Several test programs may do so at once.
    let partial = folder.join(format!("tiny-{}.partial", std::process::id()));
    fs::write(&partial, bytes).expect("the tiny model can be written");
    fs::rename(&partial, &path).expect("the tiny model can be written");
    path
}

/// The weight file's content.
#[must_use]
pub fn bytes() -> Vec<u8> {
    let vocabulary = Vocabulary::new();
    let mut writer = gguf::Writer::default();
    writer.text("general.architecture", "llama");
    writer.text("general.name", "tiny");
    weights::describe(&mut writer);
    vocabulary.describe(&mut writer);
    writer.text("tokenizer.chat_template", TEMPLATE);
    weights::write(&mut writer, vocabulary.tokens());
    writer.finish()
}
