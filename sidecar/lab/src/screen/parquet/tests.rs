use super::*;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

fn column(name: &str, values: &[f64]) -> (String, Column) {
    (name.to_owned(), Column::Real(values.to_vec()))
}

#[test]
fn what_is_written_is_read() {
    let integers = ("line".to_owned(), Column::Integer(vec![7, -1, i64::MAX]));
    let file = table(&[integers, column("not-evil_rank", &[0.5, -2.25, 1e300])]).unwrap();
    if let Ok(path) = std::env::var("PERSONAGUARD_WRITE_PARQUET") {
        std::fs::write(path, &file).unwrap();
    }
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    let rows: Vec<Vec<(String, Field)>> =
        reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns()).collect();
    let row = |line, rank| {
        vec![
            ("line".to_owned(), Field::Long(line)),
            ("not-evil_rank".to_owned(), Field::Double(rank)),
        ]
    };
    assert_eq!(rows, [row(7, 0.5), row(-1, -2.25), row(i64::MAX, 1e300)]);
}

#[test]
fn columns_of_different_lengths_are_refused() {
    assert!(table(&[column("a", &[1.0]), column("b", &[1.0, 2.0])]).is_err());
}
