use super::super::placement::{EmbeddingRow, Placement};
use super::*;
use proptest::prelude::*;

fn vectors() -> LayerMatrix {
    let rows: Vec<Vec<f32>> =
        (0..5_u8).map(|layer| vec![f32::from(layer), 0.5, -f32::from(layer)]).collect();
    LayerMatrix::from_rows(&rows).unwrap()
}

/// Imports for a model of so many layers of three values.
fn import_gguf(file: &[u8], layers: u32) -> Result<LayerMatrix, String> {
    let choice = control_vectors(file, 3).map_err(|error| error.to_string())?;
    let placement = Placement {
        layers,
        hidden: 3,
        layer: 1,
        embedding_row: EmbeddingRow::Unsaid,
        drop_last_row: false,
    };
    placement.place(choice.directions)
}

/// A control vector of tensors: name, dimensions, type, bytes.
pub(in crate::convert) fn file_of(tensors: &[(&str, &[u64], u32, Vec<u8>)]) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut file = MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    let mut data = Vec::new();
    for (name, sizes, kind, bytes) in tensors {
        file.extend(string(name));
        file.extend((sizes.len() as u32).to_le_bytes());
        file.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        file.extend(kind.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
    }
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    file.extend(data);
    file
}

#[test]
fn item_19_control_vectors_of_other_tools_are_read() {
    let f16: Vec<u8> =
        [0x3c00_u16, 0x4000, 0x4200].into_iter().flat_map(u16::to_le_bytes).collect();
    let bf16: Vec<u8> = [1.0_f32, 2.0, 3.0]
        .into_iter()
        .flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes())
        .collect();
    let f32 = to_bytes(&[1.0, 2.0, 3.0]);
    let variance = ("explained_variance", &[2_u64][..], F32, to_bytes(&[0.5, 0.4]));
    for tensor in [
        ("direction.1", &[3][..], F32, f32.clone()),
        ("direction.1", &[3], 1, f16),
        ("direction.1", &[3], 30, bf16),
        ("direction.1", &[3, 1], F32, f32.clone()),
        ("direction.1", &[1, 3, 1], F32, f32.clone()),
        ("direction.1.weight", &[3], F32, f32.clone()),
    ] {
        let matrix = import_gguf(&file_of(&[variance.clone(), tensor]), 3).unwrap();
        assert_eq!(matrix.layer(2), Some([1.0, 2.0, 3.0].as_slice()));
        assert_eq!(matrix.layer(3), Some([0.0; 3].as_slice()));
    }
    let passed_over =
        control_vectors(&file_of(&[variance.clone(), ("direction.1", &[3], F32, f32.clone())]), 3);
    assert_eq!(passed_over.unwrap().passed_over, 1);
    for (file, says) in [
        (file_of(&[variance]), "it has no tensor direction.N"),
        (file_of(&[("direction.1", &[3], 8, f32.clone())]), "is quantised (type 8)"),
        (file_of(&[("direction.1", &[3, 2], F32, f32.clone())]), "has shape [3, 2], not one row"),
        (file_of(&[("direction.1", &[2], F32, f32)]), "belongs to another model"),
    ] {
        let message = import_gguf(&file, 3).unwrap_err();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn exported_vectors_are_imported_again() {
    let imported = import_gguf(&export_gguf(&vectors(), "llama"), 4).unwrap();
    assert_eq!(imported.layers(), 4);
    for layer in 2..=4 {
        assert_eq!(imported.layer(layer), vectors().layer(layer));
    }
    assert_eq!(imported.layer(1), Some([0.0; 3].as_slice()));
}

#[test]
fn a_direction_beyond_the_model_is_refused() {
    let message = import_gguf(&export_gguf(&vectors(), "llama"), 3).unwrap_err();
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
