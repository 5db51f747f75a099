//! `.pt` files of the paper: a zip archive with one saved tensor, float32 `[layers + 1, hidden]`.
//! Its pickle is read as data; no code of it runs.

use super::pickle::{self, Value};
use super::{ImportError, MAX_FILE, matrix};
use crate::vector_file::LayerMatrix;
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

/// Bytes of a pickle that are read at most: a tensor's has a few hundred.
const MAX_PICKLE: u64 = 64 << 10;

/// A tensor saved by `torch.save` since version 1.6.
///
/// # Errors
/// If the file is anything else, or the tensor is not contiguous float32 of two dimensions.
pub fn import_torch(file: &[u8]) -> Result<LayerMatrix, ImportError> {
    let fail = |problem: String| ImportError::new(".pt", problem);
    if file.len() > MAX_FILE {
        return Err(fail(format!("it has more than {MAX_FILE} bytes")));
    }
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|_| {
        fail(
            "it is not a zip archive; files of torch before 1.6 must be loaded and saved again with a newer one"
                .to_owned(),
        )
    })?;
    let root = archive
        .file_names()
        .find_map(|name| name.ok()?.strip_suffix("data.pkl").map(str::to_owned))
        .ok_or_else(|| fail("it has no data.pkl".to_owned()))?;
    let pickle = read(&mut archive, &format!("{root}data.pkl"), MAX_PICKLE).map_err(fail)?;
    let tensor = describe(pickle::parse(&pickle).map_err(fail)?).map_err(fail)?;
    let bytes = read(&mut archive, &format!("{root}data/{}", tensor.storage), MAX_FILE as u64)
        .map_err(fail)?;
    let values: Vec<f32> =
        bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    let count = tensor.rows.saturating_mul(tensor.hidden);
    let end = tensor.offset.saturating_add(count);
    let values = values
        .get(tensor.offset..end)
        .ok_or_else(|| fail("its data are shorter than its shape".to_owned()))?;
    matrix(".pt", tensor.rows, tensor.hidden, values)
}

fn read(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    entry
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{name} cannot be read: {error}"))?;
    if bytes.len() as u64 > most {
        Err(format!("{name} has more than {most} bytes"))
    } else {
        Ok(bytes)
    }
}

struct Tensor {
    storage: String,
    offset: usize,
    rows: usize,
    hidden: usize,
}

/// `torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, …)`.
fn describe(value: Value) -> Result<Tensor, String> {
    const OTHER: &str = "it holds something else than one tensor: save the tensor alone, with torch.save(tensor, file)";
    let Value::Applied(name, arguments) = value else { return Err(OTHER.into()) };
    let [
        Value::Persistent(storage),
        Value::Int(offset),
        Value::Tuple(shape),
        Value::Tuple(stride),
        ..,
    ] = arguments.as_slice()
    else {
        return Err(OTHER.into());
    };
    if name != "torch._utils _rebuild_tensor_v2" {
        return Err(OTHER.into());
    }
    let Value::Tuple(storage) = storage.as_ref() else { return Err(OTHER.into()) };
    let [Value::Text(kind), Value::Global(element), Value::Text(key), ..] = storage.as_slice()
    else {
        return Err(OTHER.into());
    };
    if kind != "storage" || element != "torch FloatStorage" {
        return Err("its values are not float32: convert with tensor.float() before saving".into());
    }
    let size = |value: &Value| match value {
        Value::Int(value) => usize::try_from(*value).ok(),
        _ => None,
    };
    let ([rows, hidden], [outer, inner]) = (shape.as_slice(), stride.as_slice()) else {
        return Err("its tensor has not two dimensions [layers + 1, hidden]".into());
    };
    match (size(rows), size(hidden), size(outer), size(inner), usize::try_from(*offset).ok()) {
        (Some(rows), Some(hidden), Some(outer), Some(1), Some(offset)) if outer == hidden => {
            Ok(Tensor { storage: key.clone(), offset, rows, hidden })
        }
        _ => Err("its tensor is not contiguous: save tensor.contiguous()".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;

    /// What `torch.save(torch.tensor([[1., 2.], [3., 4.], [5., 6.]]), "x.pt")` writes, by its own
    /// instructions.
    fn pickled(element: &str, hidden: u8) -> Vec<u8> {
        let mut pickle =
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00((X\x07\x00\x00\x00storageq\x01ctorch\n".to_vec();
        pickle.extend(element.as_bytes());
        pickle.extend(
            b"\nq\x02X\x01\x00\x00\x000q\x03X\x03\x00\x00\x00cpuq\x04K\x06tq\x05QK\x00K\x03K",
        );
        pickle.push(hidden);
        pickle.extend(b"\x86q\x06K");
        pickle.push(hidden);
        pickle.extend(b"K\x01\x86q\x07\x89ccollections\nOrderedDict\nq\x08)Rq\x09tq\x0aRq\x0b.");
        pickle
    }

    fn archive(pickle: &[u8]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("evil/data.pkl", stored).unwrap();
        zip.write_all(pickle).unwrap();
        zip.start_file("evil/data/0", stored).unwrap();
        zip.write_all(&crate::safetensors_view::bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn a_saved_tensor_is_read() {
        let matrix = import_torch(&archive(&pickled("FloatStorage", 2))).unwrap();
        assert_eq!((matrix.layers(), matrix.hidden()), (2, 2));
        assert_eq!(matrix.layer(2), Some([5.0, 6.0].as_slice()));
    }

    #[test]
    fn other_types_and_shapes_are_refused_with_what_to_do() {
        let message = |pickle: &[u8]| import_torch(&archive(pickle)).unwrap_err().to_string();
        assert!(message(&pickled("HalfStorage", 2)).contains("tensor.float()"));
        assert!(message(&pickled("FloatStorage", 9)).contains("shorter"));
        assert!(import_torch(b"PK").unwrap_err().to_string().contains("zip"));
    }

    #[test]
    fn code_in_a_pickle_is_refused_and_never_run() {
        let message = |pickle: &[u8]| import_torch(&archive(pickle)).unwrap_err().to_string();
        assert!(
            message(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.").contains("something else")
        );
        // BUILD, INST, OBJ and STACK_GLOBAL are not spoken.
        for opcode in [b'b', b'i', b'o', 0x93] {
            assert!(message(&[0x80, 2, b'N', opcode, b'.']).contains("instruction"));
        }
    }

    proptest! {
        #[test]
        fn hostile_pickles_never_panic(pickle in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = pickle::parse(&pickle);
        }

        #[test]
        fn a_changed_byte_never_panics(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut file = archive(&pickled("FloatStorage", 2));
            let position = position.index(file.len());
            file[position] = byte;
            let _ = import_torch(&file);
        }
    }
}
