use super::super::choice::{Directions, Wanted, choose};
use super::super::placement::{EmbeddingRow, Placement};
use super::*;
use personaguard_persona::LayerMatrix;
use personaguard_persona::f32_tensors::to_bytes;
use proptest::prelude::*;
use std::io::Write as _;
use zip::write::SimpleFileOptions;

/// A tensor as `torch.save` pickles it, in storage `key`: `K` and a byte for each number.
pub(in crate::convert) fn tensor(element: &str, key: u8, shape: &[u8], stride: &[u8]) -> Vec<u8> {
    let mut pickle =
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n".to_vec();
    pickle.extend(element.as_bytes());
    pickle.extend(b"\nX\x01\x00\x00\x00");
    pickle.push(b'0' + key);
    pickle.extend(b"X\x03\x00\x00\x00cpuK\x06tQK\x00");
    for sizes in [shape, stride] {
        pickle.push(b'(');
        pickle.extend(sizes.iter().flat_map(|size| [b'K', *size]));
        pickle.push(b't');
    }
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    pickle
}

pub(in crate::convert) fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

pub(in crate::convert) fn whole(parts: &[&[u8]]) -> Vec<u8> {
    [b"\x80\x02".as_slice(), &parts.concat(), b"."].concat()
}

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

pub(in crate::convert) fn archive_of(pickle: &[u8], storages: &[Vec<u8>]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("evil/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    for (key, storage) in storages.iter().enumerate() {
        zip.start_file(format!("evil/data/{key}"), stored).unwrap();
        zip.write_all(storage).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn archive(pickle: &[u8]) -> Vec<u8> {
    archive_of(pickle, &[to_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])])
}

/// Imports for a model of two layers of two values.
fn import(file: &[u8]) -> Result<LayerMatrix, String> {
    let found = torch(file).map_err(|error| error.to_string())?;
    let wanted = Wanted { tensor: None, trait_name: "evil", hidden: 2 };
    let placement = Placement {
        layers: 2,
        hidden: 2,
        layer: 1,
        embedding_row: EmbeddingRow::Unsaid,
        drop_last_row: false,
    };
    placement.place(choose(found, wanted)?.directions)
}

#[test]
fn a_saved_tensor_is_imported() {
    let matrix = import(&archive(&pickled("FloatStorage", 2))).unwrap();
    assert_eq!((matrix.layers(), matrix.hidden()), (2, 2));
    assert_eq!(matrix.layer(2), Some([5.0, 6.0].as_slice()));
}

#[test]
fn other_types_and_shapes_are_refused_with_what_to_do() {
    let message = |pickle: &[u8]| import(&archive(pickle)).unwrap_err();
    assert!(message(&pickled("LongStorage", 2)).contains("tensor.float()"));
    assert!(message(&pickled("FloatStorage", 9)).contains("another model"));
    let long = whole(&[&tensor("FloatStorage", 0, &[9, 2], &[2, 1])]);
    assert!(message(&long).contains("bytes are missing"));
    assert!(import(b"PK").unwrap_err().contains("zip"));
}

#[test]
fn code_in_a_pickle_is_refused_and_never_run() {
    let message = |pickle: &[u8]| import(&archive(pickle)).unwrap_err();
    assert!(
        message(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.").contains("something else")
    );
    // BUILD, INST, OBJ and STACK_GLOBAL are not supported.
    for opcode in [b'b', b'i', b'o', 0x93] {
        assert!(message(&[0x80, 2, b'N', opcode, b'.']).contains("instruction"));
    }
}

#[test]
fn item_19_half_precision_and_strides_are_read() {
    let halves = |bits: [u16; 6]| bits.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let bf16 = halves([1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|x: f32| (x.to_bits() >> 16) as u16));
    let f16 = halves([0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600]);
    let f64: Vec<u8> =
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0_f64].into_iter().flat_map(f64::to_le_bytes).collect();
    for (element, storage) in
        [("HalfStorage", f16), ("BFloat16Storage", bf16), ("DoubleStorage", f64)]
    {
        let matrix = import(&archive_of(&pickled(element, 2), &[storage])).unwrap();
        assert_eq!(matrix.layer(2), Some([5.0, 6.0].as_slice()), "{element}");
    }
    let transposed = whole(&[&tensor("FloatStorage", 0, &[3, 2], &[1, 3])]);
    assert_eq!(import(&archive(&transposed)).unwrap().layer(1), Some([2.0, 5.0].as_slice()));
    let squeezed = whole(&[&tensor("FloatStorage", 0, &[3, 1, 2], &[2, 2, 1])]);
    assert_eq!(import(&archive(&squeezed)).unwrap().layer(1), Some([3.0, 4.0].as_slice()));
}

#[test]
fn item_19_dictionaries_lists_and_parameters_are_read() {
    let rows = || (0..3).map(|n| to_bytes(&[n as f32, 1.0])).collect::<Vec<_>>();
    let row = |key: u8| tensor("FloatStorage", key, &[2], &[1]);
    let int = |number: u8| vec![b'K', number];
    let by_number =
        whole(&[b"}q\x00(", &int(0), &row(0), &int(1), &row(1), &int(2), &row(2), b"u"]);
    let by_name = whole(&[
        b"}(",
        &text("layer_1"),
        &row(1),
        &text("layer_2"),
        &row(2),
        &text("note"),
        &text("made by hand"),
        &text("scale"),
        b"G\x3f\xf0\0\0\0\0\0\0u",
    ]);
    let list = whole(&[b"]q\x00(", &row(0), &row(1), &row(2), b"e"]);
    let nested = whole(&[b"}", &text("evil"), b"](", &row(0), &row(1), &row(2), b"es"]);
    let parameter = [
        b"ctorch._utils\n_rebuild_parameter\n(".as_slice(),
        &row(2),
        b"\x88ccollections\nOrderedDict\n)RtR",
    ]
    .concat();
    let parameters = whole(&[b"}(", &int(2), &parameter, &int(1), &row(1), b"u"]);
    for pickle in [by_number, by_name, list, nested, parameters] {
        let matrix = import(&archive_of(&pickle, &rows())).unwrap();
        assert_eq!(matrix.layer(1), Some([1.0, 1.0].as_slice()));
        assert_eq!(matrix.layer(2), Some([2.0, 1.0].as_slice()));
    }
    let one = import(&archive_of(&whole(&[&row(2)]), &rows())).unwrap();
    assert_eq!(one.layer(1), Some([2.0, 1.0].as_slice()));
    assert_eq!(one.layer(2), Some([0.0, 0.0].as_slice()));
}

#[test]
fn item_19_a_list_that_is_used_twice_is_refused_rather_than_read_as_empty() {
    let row = tensor("FloatStorage", 0, &[2], &[1]);
    let twice = whole(&[b"(]q\x00", &row, b"ah\x00t"]);
    assert!(import(&archive(&twice)).unwrap_err().contains("twice"));
    let wanted = Wanted { tensor: Some("b"), trait_name: "evil", hidden: 2 };
    let two = whole(&[b"}(", &text("a"), &row, &text("b"), &row, b"u"]);
    let found = torch(&archive(&two)).unwrap();
    let choice = choose(found, wanted).unwrap();
    assert_eq!(choice.directions, Directions::Rows(vec![vec![1.0, 2.0]]));
    assert_eq!(choice.passed_over, 1);
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
        let _ = import(&file);
    }
}
