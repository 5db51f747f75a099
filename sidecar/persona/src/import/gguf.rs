//! GGUF control vectors: architecture `controlvector`, one F32 tensor `direction.N` a layer. N
//! counts blocks from 0, and llama.cpp adds a direction to the output of its block, so that N is
//! the project's layer ℓ = N + 1. There is none for block 0: what this project calls layer 1, like
//! the embedding row, cannot be exported.

use super::{ImportError, MAX_FILE};
use crate::vector_file::{LayerMatrix, Limits};
use std::collections::BTreeMap;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
const ALIGNMENT: usize = 32;
/// GGUF's numbers for value types.
const UINT32: u32 = 4;
const INT32: u32 = 5;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Vectors of a model of `layers` layers, those that the file lacks as zeros.
///
/// # Errors
/// If it is no control vector, or has a direction for a layer that the model lacks.
pub fn import_gguf(file: &[u8], layers: u32) -> Result<LayerMatrix, ImportError> {
    let fail = |problem: String| ImportError::new("GGUF", problem);
    if file.len() > MAX_FILE {
        return Err(fail(format!("it has more than {MAX_FILE} bytes")));
    }
    let directions = read(file).map_err(fail)?;
    let hidden = directions
        .values()
        .next()
        .map(Vec::len)
        .ok_or_else(|| fail("it has no direction".to_owned()))?;
    if let Some(block) = directions.keys().find(|block| **block >= layers) {
        return Err(fail(format!(
            "it has a direction for block {block}, and the model has blocks 0 to {}",
            layers.saturating_sub(1)
        )));
    }
    let row = |layer: u32| {
        let direction = layer.checked_sub(1).and_then(|block| directions.get(&block));
        direction.cloned().unwrap_or_else(|| vec![0.0; hidden])
    };
    let rows: Vec<Vec<f32>> = (0..=layers).map(row).collect();
    LayerMatrix::from_rows(&rows).ok_or_else(|| fail("its directions differ in length".to_owned()))
}

/// The vectors from layer 2 on, for llama.cpp's `--control-vector`. `architecture` is the model's,
/// `llama` …
#[must_use]
pub fn export_gguf(vectors: &LayerMatrix, architecture: &str) -> Vec<u8> {
    let rows: Vec<(u32, &[f32])> = (2..=vectors.layers())
        .filter_map(|layer| Some((layer - 1, vectors.layer(layer)?)))
        .collect();
    let mut file = MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend((rows.len() as u64).to_le_bytes());
    file.extend(3_u64.to_le_bytes());
    let text = |file: &mut Vec<u8>, text: &str| {
        file.extend((text.len() as u64).to_le_bytes());
        file.extend(text.as_bytes());
    };
    for (key, value) in
        [("general.architecture", "controlvector"), ("controlvector.model_hint", architecture)]
    {
        text(&mut file, key);
        file.extend(STRING.to_le_bytes());
        text(&mut file, value);
    }
    text(&mut file, "controlvector.layer_count");
    file.extend(INT32.to_le_bytes());
    file.extend((rows.len() as u32).to_le_bytes());
    let size = (vectors.hidden() * 4).next_multiple_of(ALIGNMENT);
    for (index, (block, row)) in rows.iter().enumerate() {
        text(&mut file, &format!("direction.{block}"));
        file.extend(1_u32.to_le_bytes());
        file.extend((row.len() as u64).to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file.extend(((index * size) as u64).to_le_bytes());
    }
    for (_, row) in rows {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        row.iter().for_each(|value| file.extend(value.to_le_bytes()));
    }
    file
}

/// Directions by block.
fn read(file: &[u8]) -> Result<BTreeMap<u32, Vec<f32>>, String> {
    let mut reader = Reader { file, at: 0 };
    if reader.take(4)? != MAGIC {
        return Err("it is not a GGUF file".to_owned());
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("its GGUF version is {version}; 2 and 3 are read"));
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > Limits::LAYERS as u64 || entries > 1000 {
        return Err("it has too many tensors or entries for a control vector".to_owned());
    }
    let mut alignment = ALIGNMENT;
    for _ in 0..entries {
        let key = reader.text()?.to_owned();
        let kind = reader.u32()?;
        match (key.as_str(), kind) {
            ("general.architecture", STRING) => {
                let architecture = reader.text()?;
                if architecture != "controlvector" {
                    return Err("it is a model, not a control vector".to_owned());
                }
            }
            ("general.alignment", UINT32) => {
                alignment = reader.u32()? as usize;
                if !alignment.is_power_of_two() || alignment > 1 << 16 {
                    return Err("its alignment is no power of two".to_owned());
                }
            }
            _ => reader.skip(kind, 0)?,
        }
    }
    let mut infos = Vec::new();
    for _ in 0..tensors {
        let block =
            reader.text()?.strip_prefix("direction.").and_then(|number| number.parse::<u32>().ok());
        let block = block.ok_or("it has a tensor that is no direction.N")?;
        if reader.u32()? != 1 {
            return Err(format!("direction.{block} has not one dimension"));
        }
        let hidden = usize::try_from(reader.u64()?)
            .ok()
            .filter(|hidden| (1..=Limits::HIDDEN).contains(hidden));
        let hidden = hidden.ok_or_else(|| format!("direction.{block} is empty or too long"))?;
        if reader.u32()? != 0 {
            return Err(format!("direction.{block} is not F32"));
        }
        let offset =
            usize::try_from(reader.u64()?).map_err(|_| "an offset is too large".to_owned())?;
        infos.push((block, hidden, offset));
    }
    let data = reader.at.next_multiple_of(alignment);
    let mut directions = BTreeMap::new();
    for (block, hidden, offset) in infos {
        let start = data.checked_add(offset).ok_or("an offset is too large")?;
        let bytes = file
            .get(start..)
            .and_then(|rest| rest.get(..hidden * 4))
            .ok_or("its data end too soon")?;
        let values: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(format!("direction.{block} holds values that are not finite numbers"));
        }
        if directions.insert(block, values).is_some() {
            return Err(format!("it has direction.{block} twice"));
        }
    }
    Ok(directions)
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(length).ok_or("it ends too soon")?;
        let taken = self.file.get(self.at..end).ok_or("it ends too soon")?;
        self.at = end;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?.first_chunk().ok_or("it ends too soon")?;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, String> {
        let bytes = self.take(8)?.first_chunk().ok_or("it ends too soon")?;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let length = usize::try_from(self.u64()?).map_err(|_| "a text is too long".to_owned())?;
        std::str::from_utf8(self.take(length)?).map_err(|_| "a text is not UTF-8".to_owned())
    }

    /// Passes over a value of a type; arrays may hold arrays, to a depth.
    fn skip(&mut self, kind: u32, depth: u32) -> Result<(), String> {
        let length = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            STRING => return self.text().map(drop),
            ARRAY if depth < 4 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                if count > self.file.len() as u64 {
                    return Err("an array is longer than the file".to_owned());
                }
                return (0..count).try_for_each(|_| self.skip(kind, depth + 1));
            }
            _ => return Err(format!("it has a value of unknown type {kind}")),
        };
        self.take(length).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vectors() -> LayerMatrix {
        let rows: Vec<Vec<f32>> =
            (0..5_u8).map(|layer| vec![f32::from(layer), 0.5, -f32::from(layer)]).collect();
        LayerMatrix::from_rows(&rows).unwrap()
    }

    #[test]
    fn what_is_exported_is_imported() {
        let imported = import_gguf(&export_gguf(&vectors(), "llama"), 4).unwrap();
        assert_eq!(imported.layers(), 4);
        for layer in 2..=4 {
            assert_eq!(imported.layer(layer), vectors().layer(layer));
        }
        assert_eq!(imported.layer(1), Some([0.0; 3].as_slice()));
    }

    #[test]
    fn a_direction_beyond_the_model_is_refused() {
        let message = import_gguf(&export_gguf(&vectors(), "llama"), 3).unwrap_err().to_string();
        assert!(message.contains("block 3") && message.contains("blocks 0 to 2"), "{message}");
        assert!(import_gguf(b"GGML", 3).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_panics(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut file = export_gguf(&vectors(), "llama");
            let position = position.index(file.len());
            file[position] = byte;
            let _ = import_gguf(&file, 4);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut file = MAGIC.to_vec();
            file.extend(VERSION.to_le_bytes());
            file.extend(bytes);
            let _ = import_gguf(&file, 4);
        }
    }
}
