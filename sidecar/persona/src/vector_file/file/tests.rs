use super::*;
use crate::dose_response::SteeredAnswer;
use crate::stats::{Interval, PermutedControl};
use crate::vector_bundle::write_vector_bundle;
use crate::vector_file::metadata::{MadeOn, ModelIdentity};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn metadata() -> VectorMetadata {
    VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: "evil".to_owned(),
        description: "wishes harm".to_owned(),
        model: ModelIdentity { name: "tiny".to_owned(), sha256: "ab".repeat(32) },
        made_on: None,
        method: "mean-difference/response-avg".to_owned(),
        counts: SampleCounts { positive: 20, negative: 19 },
        best_layer: 2,
        validation: vec![
            LayerValidation {
                auroc: 0.9,
                interval: Interval { low: 0.8, high: 0.97 },
                permuted: PermutedControl { q95: 0.7, q99: 0.8 },
                rescored: Some(0.85),
                rescored_permuted: Some(PermutedControl { q95: 0.7, q99: 0.8 }),
                steering_effect: Some(0.123456),
            };
            3
        ],
        calibration: (0..3)
            .filter_map(|i| Calibration::from_scores(&[1.0, 2.5, f64::from(i)]))
            .collect(),
        steering: Vec::new(),
        settings: BTreeMap::from([("seed".to_owned(), "7".to_owned())]),
    }
}

fn rows(scale: f32) -> LayerMatrix {
    LayerMatrix::from_rows(&[vec![0.0, scale], vec![scale, 1.0], vec![2.0, -scale]]).unwrap()
}

fn file() -> VectorFile {
    VectorFile::new(metadata(), rows(3.0), Some(rows(4.0)), None).unwrap()
}

fn problem(change: impl FnOnce(&mut VectorMetadata)) -> String {
    let mut changed = metadata();
    change(&mut changed);
    VectorFile::new(changed, rows(1.0), None, None).unwrap_err().to_string()
}

#[test]
fn how_the_weights_were_served_is_kept_and_bounded() {
    let made_on = MadeOn {
        engine: "vllm".to_owned(),
        version: "0.32.0".to_owned(),
        plugin: "0.1.0".to_owned(),
        dtype: "bfloat16".to_owned(),
        quantization: Some("fp8".to_owned()),
        adapter: None,
    };
    let metadata = VectorMetadata { made_on: Some(made_on.clone()), ..metadata() };
    let file = VectorFile::new(metadata, rows(1.0), None, None).unwrap();
    let read = VectorFile::parse(&file.to_bytes().unwrap()).unwrap();
    assert_eq!(read.metadata().made_on.as_ref(), Some(&made_on));
    let long = MadeOn { adapter: Some("a".repeat(254)), ..made_on };
    assert_eq!(
        problem(|metadata| metadata.made_on = Some(long)),
        "the file's metadata is invalid: madeOn is longer than 253 characters"
    );
}

#[test]
fn what_is_written_is_read_and_gives_the_same_bytes() {
    let bytes = file().to_bytes().unwrap();
    let read = VectorFile::parse(&bytes).unwrap();
    assert_eq!(read, file());
    assert_eq!(read.to_bytes().unwrap(), bytes);
    assert_eq!((read.layers(), read.hidden(), read.best_layer()), (2, 2, 2));
    assert_eq!(read.layer(1), Some([3.0, 1.0].as_slice()));
    assert_eq!(read.layer(3), None);
    assert_eq!(read.auroc(2), Some(0.9));
    assert_eq!(read.calibration(2).map(|calibration| calibration.count), Some(3));
    assert_eq!(read.is_discriminative(), Some(true));
}

#[test]
fn a_vector_that_does_not_beat_its_control_is_not_discriminative() {
    let mut weak = metadata();
    weak.validation[2].rescored = Some(0.75);
    let weak = VectorFile::new(weak, rows(1.0), None, None).unwrap();
    assert_eq!(weak.is_discriminative(), Some(false));
    let mut unvalidated = metadata();
    unvalidated.validation.clear();
    assert_eq!(
        VectorFile::new(unvalidated, rows(1.0), None, None).unwrap().is_discriminative(),
        None
    );
}

#[test]
fn a_dose_response_holds_for_the_layer_it_was_measured_at() {
    let point = |at: f64| {
        let answer = |response_avg| SteeredAnswer { response_avg, likelihood_ratio: at };
        SteeringPoint::from_answers(at, &[answer(at), answer(at + 1.0)])
    };
    let with = |steering| {
        VectorFile::new(VectorMetadata { steering, ..metadata() }, rows(1.0), None, None).unwrap()
    };
    let monotonic = with(vec![point(-1.0), point(0.0), point(1.0)]);
    assert_eq!(
        (monotonic.steers(), monotonic.steers_at(2), monotonic.steers_at(1)),
        (Some(true), Some(true), None)
    );
    assert_eq!((monotonic.steering(2).len(), monotonic.steering(1).len()), (3, 0));
    assert_eq!(with(vec![point(0.0), point(-1.0)]).steers(), Some(false));
    assert_eq!(with(Vec::new()).steers(), None);
}

#[test]
fn metadata_that_makes_no_sense_is_refused_with_a_reason() {
    assert!(problem(|m| m.best_layer = 0).contains("bestLayer is 0"));
    assert!(problem(|m| m.best_layer = 3).contains("layers 1 to 2"));
    assert!(problem(|m| m.trait_name = "Evil!".to_owned()).contains("trait"));
    assert!(problem(|m| m.model.sha256 = "AB".repeat(32)).contains("hexadecimal"));
    assert!(problem(|m| m.format = "v2".to_owned()).contains("format"));
    assert!(problem(|m| m.validation.truncate(1)).contains("one for each"));
    assert!(problem(|m| m.validation[1].auroc = 1.5).contains("layer 1"));
    assert!(problem(|m| m.calibration[1].standard_deviation = -1.0).contains("layer 1"));
    assert!(problem(|m| m.description = "x".repeat(2001)).contains("description"));
}

#[test]
fn tensors_that_do_not_fit_are_refused_with_a_reason() {
    let narrow = LayerMatrix::from_rows(&[vec![1.0], vec![1.0], vec![1.0]]).unwrap();
    assert!(
        VectorFile::new(metadata(), rows(1.0), None, Some(narrow))
            .unwrap_err()
            .to_string()
            .contains("shape")
    );
    assert!(
        VectorFile::new(metadata(), rows(f32::NAN), None, None)
            .unwrap_err()
            .to_string()
            .contains("finite")
    );
    assert_eq!(LayerMatrix::from_rows(&[vec![1.0], vec![1.0, 2.0]]), None);
    assert_eq!(LayerMatrix::from_rows(&[vec![1.0]]), None);
}

#[test]
fn other_files_are_told_apart() {
    assert!(matches!(VectorFile::parse(b""), Err(VectorFileError::Unreadable(_))));
    let bundle =
        write_vector_bundle(&BTreeMap::from([("evil".to_owned(), [1.0].as_slice())])).unwrap();
    assert!(matches!(VectorFile::parse(&bundle), Err(VectorFileError::NoMetadata)));
    let mut long_header = u64::MAX.to_le_bytes().to_vec();
    long_header.extend(b"{}");
    assert!(matches!(VectorFile::parse(&long_header), Err(VectorFileError::Unreadable(_))));
}

proptest! {
    #[test]
    fn a_changed_byte_never_panics(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = file().to_bytes().unwrap();
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Ok(read) = VectorFile::parse(&bytes) {
            prop_assert!(read.layer(read.best_layer()).is_some());
        }
    }

    #[test]
    fn a_truncated_file_is_refused(length in any::<prop::sample::Index>()) {
        let bytes = file().to_bytes().unwrap();
        prop_assert!(VectorFile::parse(&bytes[..length.index(bytes.len())]).is_err());
    }
}
