//! GGUF files as other tools write them, and files that are none.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use personaguard_model::{LoadError, LoadOptions};
use support::agree::tokens;
use support::gguf;
use support::loading::{answer, load};
use support::{Shape, tiny, tiny_with};

/// What the model of these further entries answers.
fn answer_with(more: impl FnOnce(&mut gguf::Writer)) -> Result<Vec<u32>, LoadError> {
    let tiny = tiny_with(&Shape::of("llama"), 19, more);
    let model = load(&tiny.file, &LoadOptions { threads: Some(1), ..LoadOptions::default() })?;
    Ok(answer(model, tokens(40, 19)))
}

#[test]
fn item_19_settings_are_read_in_every_spelling() {
    let plain = answer_with(|_| {}).unwrap();
    let linear = |writer: &mut gguf::Writer| {
        writer.text("llama.rope.scaling.type", "linear");
        writer.float("llama.rope.scaling.factor", 4.0);
    };
    let linear = answer_with(linear).unwrap();
    assert_ne!(plain, linear);
    for key in ["rope.scale_linear", "rope.scaling.factor"] {
        let old = answer_with(|writer| writer.float(&format!("llama.{key}"), 4.0));
        assert_eq!(old.unwrap(), linear, "{key}");
        let whole = answer_with(|writer| writer.int(&format!("llama.{key}"), 4));
        assert_eq!(whole.unwrap(), linear, "{key}");
        let none = answer_with(|writer| writer.float(&format!("llama.{key}"), 0.0));
        assert_eq!(none.unwrap(), plain, "{key}");
    }
    let base = |whole: bool| {
        answer_with(|writer| match whole {
            true => writer.int("llama.rope.freq_base", 500_000),
            false => writer.float("llama.rope.freq_base", 500_000.0),
        })
    };
    assert_eq!(base(true).unwrap(), base(false).unwrap());
    assert_ne!(base(true).unwrap(), plain);
    let arrays = |writer: &mut gguf::Writer| {
        writer.ints("llama.attention.head_count_kv", &[2, 2, 2]);
        writer.ints("llama.feed_forward_length", &[96, 96, 96]);
        writer.float("llama.block_count", 3.0);
    };
    assert_eq!(answer_with(arrays).unwrap(), plain);
    let error = answer_with(|writer| writer.ints("llama.attention.head_count_kv", &[2, 4, 2]));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("blocks that differ in llama.attention.head_count_kv"), "{error}");
}

#[test]
fn item_19_a_template_that_fails_keeps_the_model_from_loading() {
    let with = |template: &str| {
        answer_with(|writer| writer.text("tokenizer.chat_template", template))
            .map_err(|error| error.to_string())
    };
    assert!(with("{{ messages[0].content }}").is_ok());
    assert!(with("{{ strftime_now('%d %B %Y') }}{{ messages[0].content }}").is_ok());
    let error = with("{{ messages[0].content.missing() }}").unwrap_err();
    assert!(error.contains("chat template cannot be used: for a plain conversation"), "{error}");
    let named = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        answer_with(|writer| {
            writer.texts("tokenizer.chat_templates", &names);
            for name in &names {
                writer.text(&format!("tokenizer.chat_template.{name}"), "a");
            }
        })
        .map_err(|error| error.to_string())
    };
    assert!(named(&["tool_use"]).is_ok());
    let error = named(&["tool_use", "rag"]).unwrap_err();
    assert!(error.contains("it has templates rag, tool_use, and none is the default"), "{error}");
}

#[test]
fn item_19_files_that_are_something_else_are_told_as_that() {
    let said = |bytes: &[u8]| match load(bytes, &LoadOptions::default()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it loads"),
    };
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let whole = tiny(&Shape::of("llama"), 19).file;
    for (bytes, message, is_incomplete) in [
        (pointer.as_bytes(), "is a Git LFS pointer", false),
        (b"\n<!DOCTYPE html><html>", "is a web page", false),
        (b"<html lang=en>", "is a web page", false),
        (b"<?xml version='1.0'?><Error>", "is an answer in XML", false),
        (b"PK\x03\x04....", "is a PyTorch checkpoint", false),
        (b"\x80\x02}q", "is a PyTorch checkpoint", false),
        (b"\x1f\x8b\x08", "is compressed", false),
        (b"tjgg\x03\0\0\0", "came before GGUF", false),
        (b"{\"error\": \"not found\"}", "is not a GGUF file", false),
        (b"\x10\0\0\0\0\0\0\0{\"a\":", "of safetensors, give the folder", false),
        (b"something", "is not a GGUF file", false),
        (b"", "is empty", true),
        (&[0; 4096], "begins with zeros", true),
        (&whole[..3], "cut short", true),
        (&whole[..300], "cut short", true),
        (&whole[..whole.len() - 40], "cut short", true),
    ] {
        let error = said(bytes);
        assert!(error.contains(message), "{message}: {error}");
        assert_eq!(error.contains("again"), is_incomplete, "{error}");
        assert!(!error.contains("damaged"), "{error}");
    }
}
