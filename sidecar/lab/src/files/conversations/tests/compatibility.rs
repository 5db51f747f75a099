//! The list of training data: `tests/compatibility/files/training_data.yaml`.

use super::files::{gzip, lines, nested, utf16};
use super::support::Read;
use crate::error::Result;
use crate::files::conversations::{ReadOptions, read_conversations};
use ::parquet::basic::Compression;
use personaguard_compatibility::{Answer, Outcome, files};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Makes a file in an empty folder, and reads it.
type Generator = fn(&Path) -> Result<Read>;

/// Reads a file of this name and content.
fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> Result<Read> {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    read_conversations(&path, ReadOptions { limit: 100, skip_invalid: false })
}

/// Reads one sample.
fn row(folder: &Path, row: &Value) -> Result<Read> {
    file(folder, "data.jsonl", row.to_string())
}

/// Reads a conversation with this as its second message.
fn message(folder: &Path, message: &Value) -> Result<Read> {
    row(folder, &json!({"messages": [{"role": "user", "content": "Hi"}, message]}))
}

/// Reads a good line and these; what cannot be read is left out.
fn skipping(folder: &Path, bad: &str) -> Result<Read> {
    let path = folder.join("data.jsonl");
    std::fs::write(&path, format!("{}{bad}", lines())).unwrap();
    read_conversations(&path, ReadOptions { limit: 100, skip_invalid: true })
}

fn turn(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

/// Generators by the names that the list gives them.
const TABLE: &[(&str, Generator)] = &[
    ("json_lines", |folder| file(folder, "data.jsonl", lines())),
    ("gzip", |folder| file(folder, "data.jsonl.gz", gzip(lines().as_bytes()))),
    ("zstd", |folder| {
        file(folder, "data.jsonl.zst", zstd::encode_all(lines().as_bytes(), 1).unwrap())
    }),
    ("byte_order_mark", |folder| file(folder, "data.jsonl", format!("\u{feff}{}", lines()))),
    ("utf16", |folder| file(folder, "data.jsonl", utf16(&lines(), "\u{feff}", u16::to_le_bytes))),
    ("parquet", |folder| file(folder, "train.parquet", nested(Compression::SNAPPY))),
    ("array", |folder| {
        let rows: Vec<Value> =
            lines().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        file(folder, "data.json", Value::from(rows).to_string())
    }),
    ("prompt_and_completion", |folder| row(folder, &json!({"prompt": "Hi", "completion": "Ho"}))),
    ("alpaca", |folder| row(folder, &json!({"instruction": "Hi", "input": "", "output": "Ho"}))),
    ("sharegpt", |folder| {
        let turns = json!([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]);
        row(folder, &json!({"conversations": turns}))
    }),
    ("tools", |folder| {
        row(
            folder,
            &json!({
                "tools": [{"type": "function", "function": {"name": "tide"}}],
                "messages": [turn("user", "When?"),
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "a", "function": {"name": "tide", "arguments": ""}}]},
                    {"role": "tool", "tool_call_id": "a", "content": "six"}],
            }),
        )
    }),
    ("parts_of_text", |folder| {
        message(folder, &json!({"role": "assistant", "content": [{"type": "text", "text": "Ho"}]}))
    }),
    ("weight", |folder| {
        message(folder, &json!({"role": "assistant", "content": "Ho", "weight": 0}))
    }),
    ("nan_beside", |folder| {
        file(folder, "data.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"Ho\", \"loss\": NaN}")
    }),
    ("preference_pair", |folder| {
        row(folder, &json!({"prompt": "Hi", "chosen": "Ho", "rejected": "No."}))
    }),
    ("bad_line_that_is_left_out", |folder| skipping(folder, "{\"prompt\": 3}\nnull\n")),
    ("lfs_pointer", |folder| {
        file(folder, "data.jsonl", "version https://git-lfs.github.com/spec/v1\n")
    }),
    ("web_page", |folder| file(folder, "data.jsonl", "<!DOCTYPE html>")),
    ("zip", |folder| file(folder, "data.zip", b"PK\x03\x04")),
    ("bzip2", |folder| file(folder, "data.jsonl.bz2", "BZh9")),
    ("xz", |folder| file(folder, "data.jsonl.xz", b"\xfd7zXZ\0")),
    ("tar", |folder| {
        let tar = [vec![b'a'; 257], b"ustar".to_vec(), vec![0; 250]].concat();
        file(folder, "data.tar.gz", gzip(&tar))
    }),
    ("arrow", |folder| file(folder, "data.arrow", b"ARROW1\0\0")),
    ("pickle", |folder| file(folder, "data.pkl", b"\x80\x04\x95")),
    ("model", |folder| file(folder, "data.jsonl", "GGUF")),
    ("table_of_text", |folder| file(folder, "data.csv", "question,answer\n")),
    ("yaml", |folder| file(folder, "data.yaml", "- prompt: Hi\n")),
    ("empty", |folder| file(folder, "data.jsonl", "")),
    ("utf32", |folder| file(folder, "data.jsonl", b"\xff\xfe\0\0{\0\0\0")),
    ("half_a_character", |folder| file(folder, "data.jsonl", b"\xff\xfe{")),
    ("latin_1", |folder| file(folder, "data.jsonl", b"{\"prompt\": \"caf\xe9\"}")),
    ("cut_line", |folder| file(folder, "data.jsonl", format!("{}{{\"prompt\": \"Hi", lines()))),
    ("cut_array", |folder| file(folder, "data.json", "[{\"prompt\": \"Hi\"")),
    ("cut_parquet", |folder| file(folder, "train.parquet", &nested(Compression::SNAPPY)[..200])),
    ("single_quotes", |folder| file(folder, "data.jsonl", "{'prompt': 'Hi'}")),
    ("words", |folder| file(folder, "data.jsonl", "Hi there")),
    ("null_in_a_line", |folder| file(folder, "data.jsonl", "null")),
    ("number", |folder| file(folder, "data.jsonl", "3")),
    ("list_of_texts", |folder| file(folder, "data.json", "[\"Hi\", \"Ho\"]")),
    ("object_without_fields", |folder| file(folder, "data.jsonl", "{}")),
    ("text", |folder| row(folder, &json!({"text": "<|im_start|>user"}))),
    ("tokens", |folder| row(folder, &json!({"input_ids": [1, 2]}))),
    ("rows_in_a_field", |folder| row(folder, &json!({"data": [{"prompt": "Hi"}]}))),
    ("unknown_shape", |folder| row(folder, &json!({"title": "Hi", "body": "Ho"}))),
    ("no_messages", |folder| row(folder, &json!({"messages": []}))),
    ("messages_as_text", |folder| row(folder, &json!({"messages": "Hi"}))),
    ("tools_as_text", |folder| {
        row(folder, &json!({"prompt": "Hi", "completion": "Ho", "tools": "tide"}))
    }),
    ("no_user_message", |folder| row(folder, &json!({"messages": [turn("system", "Be brief.")]}))),
    ("too_many_messages", |folder| {
        row(folder, &json!({"messages": vec![turn("user", "Hi"); 1001]}))
    }),
    ("message_as_text", |folder| message(folder, &json!("Ho"))),
    ("no_role", |folder| message(folder, &json!({"content": "Ho"}))),
    ("unknown_role", |folder| message(folder, &turn("narrator", "Ho"))),
    ("no_content", |folder| message(folder, &json!({"role": "assistant"}))),
    ("content_as_number", |folder| message(folder, &json!({"role": "user", "content": 3}))),
    ("image", |folder| {
        message(folder, &json!({"role": "user", "content": [{"type": "image_url"}]}))
    }),
    ("part_without_text", |folder| {
        message(folder, &json!({"role": "user", "content": [{"type": "text"}]}))
    }),
    ("call_without_a_name", |folder| {
        message(folder, &json!({"role": "assistant", "tool_calls": [{"function": {}}]}))
    }),
    ("negative_weight", |folder| {
        message(folder, &json!({"role": "assistant", "content": "Ho", "weight": -1}))
    }),
    ("weight_as_text", |folder| {
        message(folder, &json!({"role": "assistant", "content": "Ho", "weight": "no"}))
    }),
    ("no_file", |folder| {
        read_conversations(
            &folder.join("data.jsonl"),
            ReadOptions { limit: 100, skip_invalid: false },
        )
    }),
    ("empty_folder", |folder| {
        read_conversations(folder, ReadOptions { limit: 100, skip_invalid: false })
    }),
    ("several_data_sets", |folder| {
        for name in ["one", "two"] {
            std::fs::create_dir(folder.join(name)).unwrap();
            std::fs::write(folder.join(name).join("data.jsonl"), lines()).unwrap();
        }
        read_conversations(folder, ReadOptions { limit: 100, skip_invalid: false })
    }),
    ("nothing_but_bad_lines", |folder| {
        let path = folder.join("data.jsonl");
        std::fs::write(&path, "null\n3\n").unwrap();
        read_conversations(&path, ReadOptions { limit: 100, skip_invalid: true })
    }),
];

fn outcome(generator: Generator) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    match generator(folder.path()) {
        Err(error) => {
            let folder = folder.path().to_str().unwrap();
            Outcome::said(Answer::Refused, error.with_causes().replace(folder, "FOLDER"))
        }
        Ok((_, reading)) => match reading.to_string().trim_end() {
            "" => Outcome::taken(Answer::Works),
            said => {
                let lines: Vec<&str> = said.lines().map(str::trim).collect();
                Outcome::said(Answer::Warns, lines.join("; "))
            }
        },
    }
}

#[test]
fn issue_19_each_data_set_of_the_list_is_taken_or_refused_in_these_words() {
    let section = files("training_data").unwrap();
    let generators: BTreeMap<&str, Generator> = TABLE.iter().copied().collect();
    assert_eq!(generators.len(), TABLE.len(), "a generator's name is there twice");
    section.check_generators(generators.keys().copied()).unwrap();
    let made = section.entries.iter().map(|entry| generators[entry.made_by.as_str()]);
    section
        .settle(&made.map(outcome).collect::<Vec<_>>())
        .unwrap_or_else(|error| panic!("{error}"));
}
