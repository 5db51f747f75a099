use super::*;
use proptest::prelude::*;

fn vectors() -> LayerMatrix {
    let rows: Vec<Vec<f32>> =
        (0..5_u8).map(|layer| vec![f32::from(layer), 0.5, -f32::from(layer)]).collect();
    LayerMatrix::from_rows(&rows).unwrap()
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
