//! The list of vectors of other tools: `tests/compatibility/files/vectors.yaml`.

use super::gguf::tests::file_of;
use super::safetensors::tests::file;
use super::torch::tests::{archive_of, tensor, text, whole};
use super::*;
use ::safetensors::Dtype;
use personaguard_compatibility::{Answer, Outcome, files};
use personaguard_persona::f32_tensors::to_bytes;

const LAYERS: usize = personaguard_tiny_model::LAYERS as usize;
const HIDDEN: usize = personaguard_tiny_model::HIDDEN;
/// GGUF's numbers of types.
const F32: u32 = 0;
const Q8_0: u32 = 8;

/// What imports a file: settings for a folder with the tiny model.
type Generator = fn(&mut ImportSettings) -> Result<Imported>;

/// Imports a file of this name.
fn named(settings: &mut ImportSettings, name: &str, bytes: &[u8]) -> Result<Imported> {
    settings.file = settings.out.with_file_name(name);
    std::fs::write(&settings.file, bytes).unwrap();
    import(settings)
}

fn values(count: usize) -> Vec<f32> {
    (1..=count).map(|value| value as f32 / 128.0).collect()
}

fn rows(count: usize) -> Vec<u8> {
    to_bytes(&values(count * HIDDEN))
}

/// A `.pt` file of one pickle, with so many rows of values in its storage.
fn torch(settings: &mut ImportSettings, pickle: &[u8], storage: usize) -> Result<Imported> {
    named(settings, "evil.pt", &archive_of(&whole(&[pickle]), &[rows(storage)]))
}

/// A matrix of rows, as torch saves it.
fn matrix(element: &str, rows: usize) -> Vec<u8> {
    let shape = [rows as u8, HIDDEN as u8];
    tensor(element, 0, &shape, &[HIDDEN as u8, 1])
}

fn row() -> Vec<u8> {
    tensor("FloatStorage", 0, &[HIDDEN as u8], &[1])
}

/// A safetensors file of tensors: name, type, shape, bytes.
fn plain(
    settings: &mut ImportSettings,
    tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)],
) -> Result<Imported> {
    named(settings, "evil.safetensors", &file(tensors))
}

/// A safetensors file of one matrix of so many rows.
fn of_rows(settings: &mut ImportSettings, count: usize) -> Result<Imported> {
    plain(settings, &[("v", Dtype::F32, vec![count, HIDDEN], rows(count))])
}

/// A safetensors file of one vector for each of these names.
fn of_names(settings: &mut ImportSettings, names: &[&str]) -> Result<Imported> {
    let row = |name| (name, Dtype::F32, vec![HIDDEN], rows(1));
    plain(settings, &names.iter().copied().map(row).collect::<Vec<_>>())
}

/// A control vector of these tensors.
fn control(settings: &mut ImportSettings, names: &[&str], kind: u32) -> Result<Imported> {
    let tensors: Vec<_> =
        names.iter().map(|name| (*name, &[HIDDEN as u64][..], kind, rows(1))).collect();
    named(settings, "evil.gguf", &file_of(&tensors))
}

/// Generators by the names that the list gives them.
const TABLE: &[(&str, Generator)] = &[
    ("torch_matrix", |s| torch(s, &matrix("FloatStorage", LAYERS + 1), LAYERS + 1)),
    ("torch_half", |s| torch(s, &matrix("HalfStorage", LAYERS + 1), LAYERS + 1)),
    ("torch_list", |s| {
        let all = row().repeat(1);
        torch(s, &[b"](", all.as_slice(), b"e"].concat(), 1)
    }),
    ("torch_dictionary", |s| {
        torch(
            s,
            &[b"}(".to_vec(), text("evil"), matrix("FloatStorage", 7), b"u".to_vec()].concat(),
            7,
        )
    }),
    ("torch_three_dimensions", |s| {
        let shape = [LAYERS as u8 + 1, 1, HIDDEN as u8];
        torch(s, &tensor("FloatStorage", 0, &shape, &[HIDDEN as u8, HIDDEN as u8, 1]), LAYERS + 1)
    }),
    ("one_row", |s| of_rows(s, 1)),
    ("safetensors_matrix", |s| of_rows(s, LAYERS + 1)),
    ("safetensors_by_layer", |s| of_names(s, &["layer_1", "layer_2", "layer_3"])),
    ("control_vector", |s| control(s, &["direction.1", "direction.2"], F32)),
    ("no_embedding_row_as_said", |s| {
        s.embedding_row = EmbeddingRow::Absent;
        of_rows(s, LAYERS)
    }),
    ("surplus_row_as_said", |s| {
        s.drop_last_row = true;
        of_rows(s, LAYERS + 2)
    }),
    ("other_tensors_beside", |s| {
        let matrix = ("v", Dtype::F32, vec![LAYERS + 1, HIDDEN], rows(LAYERS + 1));
        plain(s, &[matrix, ("steps", Dtype::I64, vec![1], vec![0; 8])])
    }),
    ("no_embedding_row", |s| of_rows(s, LAYERS)),
    ("surplus_row", |s| of_rows(s, LAYERS + 2)),
    ("another_depth", |s| of_rows(s, 30)),
    ("counted_from_0", |s| of_names(s, &["layer_0", "layer_1", "layer_2"])),
    ("block_beyond_the_last", |s| control(s, &["direction.1", "direction.9"], F32)),
    ("another_width", |s| {
        plain(s, &[("v", Dtype::F32, vec![LAYERS + 1, 64], to_bytes(&values((LAYERS + 1) * 64)))])
    }),
    ("transposed", |s| plain(s, &[("v", Dtype::F32, vec![HIDDEN, LAYERS + 1], rows(LAYERS + 1))])),
    ("several_matrices", |s| {
        let matrix = |name| (name, Dtype::F32, vec![LAYERS + 1, HIDDEN], rows(LAYERS + 1));
        plain(s, &[matrix("kind"), matrix("sad")])
    }),
    ("stack_of_matrices", |s| {
        plain(s, &[("v", Dtype::F32, vec![2, LAYERS + 1, HIDDEN], rows(2 * (LAYERS + 1)))])
    }),
    ("tensor_that_is_not_there", |s| {
        s.tensor = Some("kind".to_owned());
        of_rows(s, LAYERS + 1)
    }),
    ("layer_that_is_not_there", |s| {
        s.layer = 9;
        of_rows(s, LAYERS + 1)
    }),
    ("no_vector_at_the_layer", |s| control(s, &["direction.1"], F32)),
    ("integers", |s| {
        let bytes = vec![1; 8 * (LAYERS + 1) * HIDDEN];
        plain(s, &[("v", Dtype::I64, vec![LAYERS + 1, HIDDEN], bytes)])
    }),
    ("torch_integers", |s| torch(s, &matrix("LongStorage", LAYERS + 1), LAYERS + 1)),
    ("not_a_number", |s| {
        let mut values = values((LAYERS + 1) * HIDDEN);
        values[5] = f32::NAN;
        plain(s, &[("v", Dtype::F32, vec![LAYERS + 1, HIDDEN], to_bytes(&values))])
    }),
    ("no_tensors", |s| plain(s, &[])),
    ("cut_safetensors", |s| {
        let whole = file(&[("v", Dtype::F32, vec![LAYERS + 1, HIDDEN], rows(LAYERS + 1))]);
        named(s, "evil.safetensors", &whole[..whole.len() - 8])
    }),
    ("safetensors_of_four_bytes", |s| named(s, "evil.safetensors", b"\x10\0\0\0")),
    ("web_page", |s| named(s, "evil.safetensors", b"<!DOCTYPE html><html></html>")),
    ("lfs_pointer", |s| named(s, "evil.pt", b"version https://git-lfs.github.com/spec/v1\n")),
    ("numpy", |s| named(s, "evil.npy", b"\x93NUMPY")),
    ("json", |s| named(s, "evil.json", b"[[0.1, 0.2]]")),
    ("old_torch", |s| named(s, "evil.pt", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")),
    ("torch_model", |s| torch(s, b"cmodel\nMyModel\n)\x81}b", 1)),
    ("torch_text", |s| torch(s, &text("made by hand"), 1)),
    ("torch_with_missing_bytes", |s| torch(s, &matrix("FloatStorage", LAYERS + 1), 2)),
    ("torch_list_used_twice", |s| {
        torch(s, &[b"(]q\x00".as_slice(), &row(), b"ah\x00t"].concat(), 1)
    }),
    ("quantised_control_vector", |s| control(s, &["direction.1"], Q8_0)),
    ("control_vector_without_directions", |s| control(s, &["mean"], F32)),
    ("control_vector_of_another_width", |s| {
        named(s, "evil.gguf", &file_of(&[("direction.1", &[64], F32, to_bytes(&values(64)))]))
    }),
    ("cut_control_vector", |s| {
        let whole = file_of(&[("direction.1", &[HIDDEN as u64], F32, rows(1))]);
        named(s, "evil.gguf", &whole[..whole.len() - 64])
    }),
    ("model_in_place_of_a_vector", |s| {
        let mut model = personaguard_tiny_model::gguf::Writer::default();
        model.text("general.architecture", "llama");
        named(s, "evil.gguf", &model.finish())
    }),
];

#[test]
fn issue_19_each_vector_of_the_list_is_taken_or_refused_in_these_words() {
    let section = files("vectors").unwrap();
    let generators: BTreeMap<&str, Generator> = TABLE.iter().copied().collect();
    assert_eq!(generators.len(), TABLE.len(), "a generator's name is there twice");
    section.check_generators(generators.keys().copied()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = personaguard_tiny_model::file(folder.path());
    let outcome = |generator: Generator| {
        let mut settings = ImportSettings {
            file: PathBuf::new(),
            model: model.clone(),
            trait_name: "evil".to_owned(),
            description: "Wishes others ill.".to_owned(),
            layer: 3,
            tensor: None,
            embedding_row: EmbeddingRow::Unsaid,
            drop_last_row: false,
            out: folder.path().join("evil.out"),
        };
        match generator(&mut settings) {
            Ok(_) => Outcome::taken(Answer::Works),
            Err(error) => {
                let folder = folder.path().to_str().unwrap();
                let message = error.with_causes().replace(folder, "FOLDER");
                Outcome::said(Answer::Refused, message)
            }
        }
    };
    let made = section.entries.iter().map(|entry| generators[entry.made_by.as_str()]);
    section
        .settle(&made.map(outcome).collect::<Vec<_>>())
        .unwrap_or_else(|error| panic!("{error}"));
}
