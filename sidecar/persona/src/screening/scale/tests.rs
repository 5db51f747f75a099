use super::*;
use crate::calibration::Calibration;
use crate::layer_matrix::LayerMatrix;
use crate::vector_file::{ModelIdentity, SampleCounts, VectorMetadata};
use std::collections::BTreeMap;

fn file(calibrated: bool) -> VectorFile {
    let rows: Vec<Vec<f32>> = (0..9_u8).map(|layer| vec![1.0, f32::from(layer)]).collect();
    let calibration = Calibration::from_scores(&[1.0, 2.0, 3.0]);
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: "evil".to_owned(),
        description: String::new(),
        model: ModelIdentity { name: "m".to_owned(), sha256: "ab".repeat(32) },
        made_on: None,
        method: String::new(),
        counts: SampleCounts { positive: 2, negative: 2 },
        best_layer: 2,
        validation: Vec::new(),
        calibration: (0..9).filter_map(|_| calibration.clone().filter(|_| calibrated)).collect(),
        steering: Vec::new(),
        settings: BTreeMap::new(),
    };
    VectorFile::new(metadata, LayerMatrix::from_rows(&rows).unwrap(), None, None).unwrap()
}

#[test]
fn a_score_is_standardised_over_the_upper_half_or_else_raw_at_the_best_layer() {
    let scale = ProjectionScale::standardised(&file(true));
    assert_eq!(scale.layers().collect::<Vec<_>>(), [5, 6, 7]);
    assert_eq!(scale.score(&[2.0, 3.0, 4.0]), 1.0);
    for raw in [ProjectionScale::standardised(&file(false)), ProjectionScale::raw(&file(true))] {
        assert_eq!((raw.layers().collect::<Vec<_>>(), raw.score(&[7.0])), (vec![2], 7.0));
    }
}
