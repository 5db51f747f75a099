//! A table of numbers as a Parquet file with one row group and no missing values.

use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::sync::Arc;

/// The values of a column.
pub(super) enum Column {
    /// INT64.
    Integer(Vec<i64>),
    /// DOUBLE.
    Real(Vec<f64>),
}

impl Column {
    fn kind(&self) -> Physical {
        match self {
            Self::Integer(_) => Physical::INT64,
            Self::Real(_) => Physical::DOUBLE,
        }
    }
}

/// The bytes of a Parquet file with named columns.
///
/// # Errors
/// If the columns differ in length.
pub(super) fn table(columns: &[(String, Column)]) -> Result<Vec<u8>> {
    let field = |(name, column): &(String, Column)| {
        let field =
            Type::primitive_type_builder(name, column.kind()).with_repetition(Repetition::REQUIRED);
        field.build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    let schema = Type::group_type_builder("ranks").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_created_by(concat!("personaguard ", env!("CARGO_PKG_VERSION")).to_owned());
    let mut file =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()))?;
    let mut group = file.next_row_group()?;
    for (_, column) in columns {
        let Some(mut writer) = group.next_column()? else { break };
        match column {
            Column::Integer(values) => {
                writer.typed::<Int64Type>().write_batch(values, None, None)?
            }
            Column::Real(values) => writer.typed::<DoubleType>().write_batch(values, None, None)?,
        };
        writer.close()?;
    }
    group.close()?;
    file.into_inner()
}

#[cfg(test)]
mod tests;
