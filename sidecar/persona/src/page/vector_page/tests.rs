use super::*;
use crate::calibration::Calibration;
use crate::dose_response::{SteeredAnswer, SteeringPoint};
use crate::layer_matrix::LayerMatrix;
use crate::vector_file::{ModelIdentity, SampleCounts, VectorMetadata};
use std::collections::BTreeMap;

fn file() -> VectorFile {
    let rows: Vec<Vec<f32>> = (0..4_u8).map(|layer| vec![1.0, f32::from(layer)]).collect();
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: "evil".to_owned(),
        description: "wishes harm <script>alert(1)</script>".to_owned(),
        model: ModelIdentity { name: "a & b".to_owned(), sha256: "ab".repeat(32) },
        made_on: None,
        method: "mean-difference/response-avg".to_owned(),
        counts: SampleCounts { positive: 2, negative: 2 },
        best_layer: 2,
        validation: Vec::new(),
        calibration: (0..4).filter_map(|_| Calibration::from_scores(&[1.0, 2.0, 3.0])).collect(),
        steering: Vec::new(),
        settings: BTreeMap::new(),
    };
    VectorFile::new(metadata, LayerMatrix::from_rows(&rows).unwrap(), None, None).unwrap()
}

#[test]
fn text_from_a_model_or_a_file_never_becomes_markup() {
    let hostile = "<img src=x onerror=alert(1)>\"'&";
    let file = file();
    let page = VectorPage {
        file: &file,
        held_out: (&[4.0, 5.0], &[1.0, f64::NAN]),
        steering: &[SteeringExample {
            point: SteeringPoint::from_answers(
                -1.0,
                &[SteeredAnswer { response_avg: 2.0, likelihood_ratio: 0.5 }],
            ),
            question: hostile.to_owned(),
            answer: hostile.to_owned(),
        }],
        answers: &[TokenScores {
            title: hostile.to_owned(),
            tokens: vec![(hostile.to_owned(), 9.0)],
        }],
        prediction: Some(PromptCorrelation { overall: 0.5, within: 0.1 }),
        traits: &[TraitComparison {
            name: hostile.to_owned(),
            cosine: 1.0,
            auroc: f64::NAN,
            rescored_auroc: f64::NAN,
        }],
    };
    let html = page.render();
    assert!(!html.contains("<img") && !html.contains("<script"), "{html}");
    assert_eq!(html.matches("&lt;img").count(), 5);
    assert!(html.contains("default-src 'none'"));
    for tag in ["table", "svg", "p", "span", "h2"] {
        let closed = html.matches(&format!("</{tag}>")).count();
        let opened =
            html.matches(&format!("<{tag} ")).count() + html.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, closed, "{tag}");
    }
}

#[test]
fn a_page_of_an_unvalidated_vector_has_no_empty_sections() {
    let file = file();
    let page = VectorPage {
        file: &file,
        held_out: (&[], &[]),
        steering: &[],
        answers: &[],
        prediction: None,
        traits: &[],
    };
    let html = page.render();
    assert!(html.contains("has not been validated") && !html.contains("NaN"));
    assert_eq!(html.matches("<h2>").count(), 1);
}
