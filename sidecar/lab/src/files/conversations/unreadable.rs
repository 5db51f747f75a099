//! Files that are not training data, known by how they begin.

use super::unicode::is_utf32;

/// Beginnings of files, what they are, and what to do.
const KNOWN: [(&[u8], &str); 14] = [
    (b"version https://git-lfs", "a Git LFS pointer, not the data: run `git lfs pull`"),
    (b"<!DOCTYPE", "a web page: download the file itself, not the page about it"),
    (b"<!doctype", "a web page: download the file itself, not the page about it"),
    (b"<html", "a web page: download the file itself, not the page about it"),
    (b"PK\x03\x04", "a zip archive (or a spreadsheet): unpack it, or save it as JSON lines"),
    (b"BZh", "compressed with bzip2: unpack it with bunzip2; gzip and zstd are read"),
    (b"\xfd7zXZ\0", "compressed with xz: unpack it with unxz; gzip and zstd are read"),
    (b"\x04\x22\x4d\x18", "compressed with lz4: unpack it with lz4 -d; gzip and zstd are read"),
    (b"ARROW1", "an Arrow file: save it with `Dataset.to_parquet` or `to_json`"),
    (b"\xff\xff\xff\xff", "an Arrow stream: `load_from_disk` its folder and save `to_parquet`"),
    (b"Obj\x01", "an Avro file: save it as Parquet or as JSON lines"),
    (b"SQLite format 3", "an SQLite database: write its rows as JSON lines"),
    (b"GGUF", "a GGUF model: the data set comes first, the model behind --model"),
    (b"\x80", "a pickle: it would run code; save the data as JSON lines"),
];
/// Where a tar archive names its format.
const TAR: std::ops::Range<usize> = 257..262;

/// Why a file that begins like this cannot be read, and what to do. The text continues a sentence
/// whose subject is the file.
pub(super) fn reason(head: &[u8]) -> Option<String> {
    if is_utf32(head) {
        return Some("is UTF-32: save it as UTF-8".to_owned());
    }
    if head.get(TAR) == Some(b"ustar") {
        return Some("is a tar archive: unpack it, and give one of its files".to_owned());
    }
    let known = KNOWN.iter().find(|(start, _)| head.starts_with(start));
    known.map(|(_, what)| format!("is {what}"))
}

/// Why a file of this name cannot be read, if its name tells.
pub(super) fn reason_of_name(name: &str) -> Option<String> {
    let (_, kind) = name.rsplit_once('.')?;
    let what = match kind.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => "a table of text",
        "yaml" | "yml" => "YAML",
        "toml" => "TOML",
        _ => return None,
    };
    Some(format!(
        "is {what}: save it as JSON lines, such as with Python's csv.DictReader or yaml.safe_load, \
         and json.dumps"
    ))
}
