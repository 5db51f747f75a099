use super::*;
use personaguard_persona::f32_tensors::to_bytes;
use proptest::prelude::*;
use std::io::Write as _;
use zip::write::SimpleFileOptions;

/// The pickle that `torch.save(torch.tensor([[1., 2.], [3., 4.], [5., 6.]]), "x.pt")` writes.
fn pickled(element: &str, hidden: u8) -> Vec<u8> {
    let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00((\
                       X\x07\x00\x00\x00storageq\x01ctorch\n"
        .to_vec();
    pickle.extend(element.as_bytes());
    pickle
        .extend(b"\nq\x02X\x01\x00\x00\x000q\x03X\x03\x00\x00\x00cpuq\x04K\x06tq\x05QK\x00K\x03K");
    pickle.push(hidden);
    pickle.extend(b"\x86q\x06K");
    pickle.push(hidden);
    pickle.extend(b"K\x01\x86q\x07\x89ccollections\nOrderedDict\nq\x08)Rq\x09tq\x0aRq\x0b.");
    pickle
}

fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("evil/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    zip.start_file("evil/data/0", stored).unwrap();
    zip.write_all(&to_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_saved_tensor_is_imported() {
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
    // BUILD, INST, OBJ and STACK_GLOBAL are not supported.
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
