use super::support::read_file;
use crate::files::conversations::{ReadOptions, read_conversations};
use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;

const QUESTIONS: [&str; 2] = ["Is the pier open?", "Und am Sönntag 🌊?"];

fn rows() -> Vec<Value> {
    let row = |question: &&str| {
        json!({"messages": [{"role": "user", "content": question},
            {"role": "assistant", "content": "Yes."}]})
    };
    QUESTIONS.iter().map(row).collect()
}

pub(super) fn lines() -> String {
    rows().iter().map(|row| format!("{row}\n")).collect()
}

/// The questions of a file.
fn is_read(name: &str, content: &[u8]) {
    let (read, _) = read_file(name, content, false).unwrap_or_else(|e| {
        panic!("{name}: {}", e.with_causes());
    });
    let read: Vec<_> = read.iter().map(|sample| sample.prompt[0]["content"].clone()).collect();
    assert_eq!(read, QUESTIONS, "{name}");
}

pub(super) fn utf16(text: &str, mark: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("{mark}{text}").encode_utf16().flat_map(unit).collect()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn item_19_marks_encodings_line_ends_and_compression_are_read() {
    let lines = lines();
    let array = Value::from(rows());
    let pretty: String = rows()
        .iter()
        .map(|row| format!("{}\n", serde_json::to_string_pretty(row).unwrap()))
        .collect();
    is_read("plain.jsonl", lines.as_bytes());
    is_read("mark.jsonl", format!("\u{feff}{lines}").as_bytes());
    is_read("crlf.jsonl", format!("\r\n{}", lines.replace('\n', "\r\n")).as_bytes());
    is_read("blank.jsonl", format!("\n \n{lines}\n\n").as_bytes());
    is_read("no-end.jsonl", lines.trim_end().as_bytes());
    is_read(
        "joined.jsonl",
        lines.replace('\n', "\n\u{feff}").trim_end_matches('\u{feff}').as_bytes(),
    );
    is_read("low.jsonl", &utf16(&lines, "\u{feff}", u16::to_le_bytes));
    is_read("high.jsonl", &utf16(&lines, "\u{feff}", u16::to_be_bytes));
    is_read("unmarked.jsonl", &utf16(&lines, "", u16::to_le_bytes));
    is_read("array.json", array.to_string().as_bytes());
    is_read("pretty.json", serde_json::to_string_pretty(&array).unwrap().as_bytes());
    is_read("values.json", pretty.as_bytes());
    is_read(
        "lists.jsonl",
        rows().iter().map(|r| format!("{}\n", r["messages"])).collect::<String>().as_bytes(),
    );
    is_read("data.jsonl.gz", &gzip(lines.as_bytes()));
    is_read("members.gz", &[gzip(&lines.as_bytes()[..9]), gzip(&lines.as_bytes()[9..])].concat());
    is_read("data.jsonl.zst", &zstd::encode_all(lines.as_bytes(), 1).unwrap());
    is_read("array.zst", &zstd::encode_all(array.to_string().as_bytes(), 1).unwrap());
    is_read("marked.gz", &gzip(&utf16(&lines, "\u{feff}", u16::to_le_bytes)));
}

/// A column `messages`, a list of objects with `role` and `content`, as pyarrow writes it.
pub(super) fn nested(compression: Compression) -> Vec<u8> {
    let schema = parse_message_type(
        "message schema {
            optional group messages (LIST) { repeated group list { optional group element {
                optional binary role (STRING);
                optional binary content (STRING);
            } } }
            optional binary system (STRING);
        }",
    );
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut file =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema.unwrap()), Arc::new(properties))
            .unwrap();
    let text = |text: &str| ByteArray::from(text);
    let roles = ["user", "assistant", "user", "assistant"].map(text);
    let contents = [QUESTIONS[0], "Yes.", QUESTIONS[1], "Yes."].map(text);
    let mut group = file.next_row_group().unwrap();
    for (values, levels, repeated) in [
        (&roles[..], &[4, 4, 4, 4][..], Some(&[0, 1, 0, 1][..])),
        (&contents[..], &[4, 4, 4, 4][..], Some(&[0, 1, 0, 1][..])),
        (&[][..], &[0, 0][..], None),
    ] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(values, Some(levels), repeated).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap()
}

#[test]
fn item_19_nested_parquet_is_read_with_the_compressions_of_the_hub() {
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
    ] {
        is_read("train-00000-of-00001.parquet", &nested(compression));
    }
    let cut = &nested(Compression::SNAPPY)[..200];
    let error = read_file("cut.parquet", cut, false).unwrap_err().with_causes();
    assert!(error.contains("it is cut: "), "{error}");
}

#[test]
fn item_19_what_is_no_data_is_told_as_what_it_is() {
    let tar = [vec![b'a'; 257], b"ustar".to_vec(), vec![0; 250]].concat();
    for (name, content, says) in [
        ("a.jsonl", &b"version https://git-lfs.github.com/spec/v1\n"[..], "git lfs pull"),
        ("a.jsonl", b"<!DOCTYPE html>", "a web page"),
        ("a.zip", b"PK\x03\x04", "a zip archive"),
        ("a.bz2", b"BZh9", "bzip2"),
        ("a.xz", b"\xfd7zXZ\0", "xz"),
        ("a.arrow", b"ARROW1\0\0", "an Arrow file"),
        ("a.pkl", b"\x80\x04\x95", "a pickle"),
        ("a.csv", b"question,answer\n", "is a table of text"),
        ("a.jsonl", b"", "it is empty"),
        ("a.jsonl", b"\xff\xfe\0\0{\0\0\0", "is UTF-32"),
        ("a.jsonl", b"\xff\xfe{", "half a character"),
        ("a.jsonl", b"{\"text\": \"caf\xe9\"}", "is not UTF-8 at byte 14"),
        ("a.json", b"[{\"messages\": \"secret\"", "is cut: its JSON ends unfinished"),
        ("a.tar.gz", &gzip(&tar), "a tar archive"),
    ] {
        let error = read_file(name, content, false).unwrap_err().with_causes();
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn item_19_a_folder_of_a_hub_is_read_file_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(folder.path().join("README.md"), "about").unwrap();
    std::fs::write(folder.path().join("dataset_infos.json"), "{}").unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(data.join(name), bytes).unwrap();
    write("train-00001-of-00002.parquet", &nested(Compression::SNAPPY));
    write("train-00000-of-00002.jsonl", lines().as_bytes());
    write("test-00000-of-00001.jsonl", b"null");
    let options = ReadOptions { limit: 3, skip_invalid: false };
    let (read, _) = read_conversations(folder.path(), options).unwrap();
    assert_eq!(read.iter().map(|sample| sample.line).collect::<Vec<_>>(), [1, 2, 3]);
    let other = folder.path().join("other/train");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("a.jsonl"), lines()).unwrap();
    let error = read_conversations(folder.path(), options).unwrap_err().to_string();
    assert!(error.contains("holds several data sets"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = read_conversations(empty.path(), options).unwrap_err().to_string();
    assert!(error.contains("holds no data"), "{error}");
}
