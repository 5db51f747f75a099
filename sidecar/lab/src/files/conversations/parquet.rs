//! Samples as rows of a Parquet table, whose columns may be nested.

use super::row::{Row, Rows, Unit};
use crate::error::{Context as _, LabError, Result};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::FileReader;
use ::parquet::file::serialized_reader::SerializedFileReader;
use ::parquet::record::reader::RowIter;
use ::parquet::record::{self, Field};
use serde_json::{Map, Value};
use std::fs::File;

/// Columns of JSON schemas and arguments. A table has every key in every row, and null where a row
/// has none.
const SPARSE: [&str; 4] = ["arguments", "parameters", "tools", "functions"];

/// The rows of a table.
///
/// # Errors
/// If it is not a Parquet file, or one whose end is missing.
pub(super) fn rows(file: File) -> Result<Rows> {
    let reader = SerializedFileReader::new(file).context(
        "it is cut: it begins like a Parquet file and does not end like one: fetch it again",
    )?;
    let rows = RowIter::from_file_into(Box::new(reader) as Box<dyn FileReader>);
    let row = |(number, row): (u64, Result<record::Row, ParquetError>)| {
        let row = row.map_err(|error| unreadable(number, &error))?;
        let value = Value::Object(object(&row, false));
        Ok(Row { unit: Unit::Row, number, value: Ok(value) })
    };
    Ok(Box::new((1..).zip(rows).map(row)))
}

/// The error for a row. The reader's own text may quote the row.
fn unreadable(number: u64, error: &ParquetError) -> LabError {
    let why = match error {
        ParquetError::NYI(_) => {
            "it is compressed or encoded in a way that is not read here: write \
                                 the table again, with zstd or snappy"
        }
        ParquetError::EOF(_) => "its data ends early: bytes are missing",
        _ => "its data is not what its columns say, such as text that is not UTF-8",
    };
    LabError::Unusable(format!("row {number}: {why}"))
}

fn object(row: &record::Row, is_sparse: bool) -> Map<String, Value> {
    let read = |(name, field): (&String, &Field)| {
        let is_sparse = is_sparse || SPARSE.contains(&name.as_str());
        (name.clone(), json(field, is_sparse))
    };
    let fields = row.get_column_iter().map(read);
    fields.filter(|(_, value)| !(is_sparse && value.is_null())).collect()
}

fn json(field: &Field, is_sparse: bool) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => Value::from(*value),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => Value::from(value.to_f32()),
        Field::Float(value) => Value::from(*value),
        Field::Double(value) => Value::from(*value),
        Field::Decimal(_) => Value::from(field.to_string()),
        Field::Str(text) => Value::from(text.as_str()),
        // Some writers do not say that their bytes are text.
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Value::from),
        Field::Group(row) => Value::Object(object(row, is_sparse)),
        Field::ListInternal(list) => {
            list.elements().iter().map(|element| json(element, is_sparse)).collect()
        }
        Field::MapInternal(map) => {
            let entries = map.entries().iter().filter_map(|(key, value)| match key {
                Field::Str(key) => Some((key.clone(), json(value, is_sparse))),
                _ => None,
            });
            Value::Object(entries.collect())
        }
    }
}
