//! A table of numbers as a Parquet file: no value missing, one row group.

use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::sync::Arc;

/// A column's values.
pub(super) enum Column {
    /// INT64.
    Whole(Vec<i64>),
    /// DOUBLE.
    Real(Vec<f64>),
}

impl Column {
    fn kind(&self) -> Physical {
        match self {
            Self::Whole(_) => Physical::INT64,
            Self::Real(_) => Physical::DOUBLE,
        }
    }
}

/// The file.
///
/// # Errors
/// If columns are not of one length.
pub(super) fn table(columns: &[(String, Column)]) -> Result<Vec<u8>> {
    let field = |(name, column): &(String, Column)| {
        let field =
            Type::primitive_type_builder(name, column.kind()).with_repetition(Repetition::REQUIRED);
        field.build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    let schema = Type::group_type_builder("ranks").with_fields(fields).build()?;
    let about = WriterProperties::builder()
        .set_created_by(concat!("personaguard ", env!("CARGO_PKG_VERSION")).to_owned());
    let mut file =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(about.build()))?;
    let mut group = file.next_row_group()?;
    for (_, column) in columns {
        let Some(mut written) = group.next_column()? else { break };
        match column {
            Column::Whole(values) => {
                written.typed::<Int64Type>().write_batch(values, None, None)?
            }
            Column::Real(values) => {
                written.typed::<DoubleType>().write_batch(values, None, None)?
            }
        };
        written.close()?;
    }
    group.close()?;
    file.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    fn column(name: &str, values: &[f64]) -> (String, Column) {
        (name.to_owned(), Column::Real(values.to_vec()))
    }

    #[test]
    fn what_is_written_is_read() {
        let whole = ("line".to_owned(), Column::Whole(vec![7, -1, i64::MAX]));
        let found = table(&[whole, column("not-evil_rank", &[0.5, -2.25, 1e300])]).unwrap();
        if let Ok(path) = std::env::var("PERSONAGUARD_WRITE_PARQUET") {
            std::fs::write(path, &found).unwrap();
        }
        let reader = SerializedFileReader::new(bytes::Bytes::from(found)).unwrap();
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
}
