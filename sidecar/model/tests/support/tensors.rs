//! Changes to the files of a folder's weights.

use serde_json::{Map, Value, json};
use std::path::Path;

/// A file with weights, taken apart.
struct File {
    header: Map<String, Value>,
    data: Vec<u8>,
}

fn read(path: &Path) -> File {
    let bytes = std::fs::read(path).unwrap();
    let (size, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*size) as usize);
    File { header: serde_json::from_slice(header).unwrap(), data: data.to_vec() }
}

fn write(path: &Path, file: File) {
    let header = Value::Object(file.header).to_string();
    let size = (header.len() as u64).to_le_bytes();
    std::fs::write(path, [&size[..], header.as_bytes(), &file.data].concat()).unwrap();
}

/// Changes the list of tensors of each file with weights. Offsets stay.
pub fn change_tensors(folder: &Path, change: impl Fn(&str, Value) -> Option<(String, Value)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let file = read(&path);
        let changed = file.header.into_iter().filter_map(|(name, value)| match name.as_str() {
            "__metadata__" => Some((name, value)),
            _ => change(&name, value),
        });
        write(&path, File { header: changed.collect(), data: file.data });
    }
}

/// Adds a tensor of zeros to the first file of two.
pub fn add_tensor(folder: &Path, name: &str, dtype: &str, shape: &Value) {
    let path = folder.join("model-00001-of-00002.safetensors");
    let File { mut header, mut data } = read(&path);
    let width = if dtype == "I64" { 8 } else { 4 };
    let values: u64 = shape.as_array().unwrap().iter().filter_map(Value::as_u64).product();
    let from = data.len();
    data.resize(from + width * values as usize, 0);
    let offsets = [from, data.len()];
    header
        .insert(name.to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
    write(&path, File { header, data });
}
