use super::*;

/// Of a model with three layers.
const PLACEMENT: Placement = Placement {
    layers: 3,
    hidden: 1,
    layer: 2,
    embedding_row: EmbeddingRow::Unsaid,
    drop_last_row: false,
};
const ABSENT: Placement = Placement { embedding_row: EmbeddingRow::Absent, ..PLACEMENT };
const PRESENT: Placement = Placement { embedding_row: EmbeddingRow::Present, ..PLACEMENT };
const DROP: Placement = Placement { drop_last_row: true, ..PLACEMENT };

/// The values 1, 2, … as rows of one.
fn rows(count: u8) -> Directions {
    Directions::Rows((1..=count).map(|value| vec![f32::from(value)]).collect())
}

/// The numbers themselves as vectors, plus one.
fn numbered(numbers: &[u32]) -> Directions {
    Directions::Numbered(
        numbers.iter().map(|number| (*number, vec![*number as f32 + 1.0])).collect(),
    )
}

fn placed(placement: Placement, directions: Directions) -> Result<Vec<f32>, String> {
    Ok(placement.place(directions)?.rows().map(|row| row[0]).collect())
}

#[test]
fn item_19_a_missing_or_surplus_row_is_asked_about() {
    assert_eq!(placed(PLACEMENT, rows(4)), Ok(vec![1.0, 2.0, 3.0, 4.0]));
    assert_eq!(
        placed(PLACEMENT, rows(3)),
        Err(
            "it has 3 rows, and this model wants 4: the embedding's and one for each of 3 layers: \
             does it lack the embedding's row? Then give --no-embedding-row"
                .to_owned()
        )
    );
    assert_eq!(placed(ABSENT, rows(3)), Ok(vec![0.0, 1.0, 2.0, 3.0]));
    assert_eq!(
        placed(PLACEMENT, rows(5)),
        Err(
            "it has 5 rows, and this model wants 4: the embedding's and one for each of 3 layers: \
             does its last row come from behind the final norm? Then give --drop-last-row"
                .to_owned()
        )
    );
    assert_eq!(placed(DROP, rows(5)), Ok(vec![1.0, 2.0, 3.0, 4.0]));
    let both = Placement { drop_last_row: true, ..ABSENT };
    assert_eq!(placed(both, rows(4)), Ok(vec![0.0, 1.0, 2.0, 3.0]));
    for (placement, count) in [(ABSENT, 4), (DROP, 4), (PRESENT, 3), (PLACEMENT, 9)] {
        assert!(placed(placement, rows(count)).is_err(), "{count} rows");
    }
    assert!(placed(PLACEMENT, rows(9)).unwrap_err().contains("another model"));
}

#[test]
fn item_19_one_row_belongs_to_the_layer_that_is_asked_for() {
    assert_eq!(placed(PLACEMENT, rows(1)), Ok(vec![0.0, 0.0, 1.0, 0.0]));
}

#[test]
fn item_19_numbers_that_may_count_blocks_or_layers_are_asked_about() {
    assert_eq!(placed(PLACEMENT, numbered(&[1, 2, 3])), Ok(vec![0.0, 2.0, 3.0, 4.0]));
    assert_eq!(placed(PLACEMENT, numbered(&[0, 1, 2, 3])), Ok(vec![1.0, 2.0, 3.0, 4.0]));
    let question = placed(PLACEMENT, numbered(&[0, 1, 2])).unwrap_err();
    assert!(question.contains("give --embedding-row"), "{question}");
    assert!(question.contains("give --no-embedding-row"), "{question}");
    assert_eq!(placed(PRESENT, numbered(&[0, 1, 2])), Ok(vec![1.0, 2.0, 3.0, 0.0]));
    assert_eq!(placed(ABSENT, numbered(&[0, 1, 2])), Ok(vec![0.0, 1.0, 2.0, 3.0]));
    let beyond = placed(PLACEMENT, numbered(&[1, 4])).unwrap_err();
    assert!(beyond.contains("layer 4") && beyond.contains("--drop-last-row"), "{beyond}");
    assert!(placed(PLACEMENT, numbered(&[1, 5])).unwrap_err().contains("layers 1 to 3"));
}
