//! A table of numbers as a Parquet file (format version 1): one row group, each column one plain, uncompressed page, no value
//! missing. That is all that ranks need, and takes no library; readers of Parquet take it as any other.

/// A column's values.
pub(super) enum Column {
    /// INT64.
    Whole(Vec<i64>),
    /// DOUBLE.
    Real(Vec<f64>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
        }
    }

    /// The format's number for the type.
    fn kind(&self) -> i64 {
        match self {
            Self::Whole(_) => 2,
            Self::Real(_) => 5,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Whole(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Real(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

const MAGIC: &[u8; 4] = b"PAR1";
/// Encodings: PLAIN for values; RLE for levels, of which there are none.
const PLAIN: i64 = 0;
const RLE: i64 = 3;

/// The file. Columns must be of one length; those of another are left out.
pub(super) fn table(columns: &[(String, Column)]) -> Vec<u8> {
    let rows = columns.first().map_or(0, |(_, column)| column.len());
    let columns: Vec<&(String, Column)> = columns.iter().filter(|(_, column)| column.len() == rows).collect();
    let mut file = MAGIC.to_vec();
    let (mut schema, mut chunks, mut total) = (Vec::new(), Vec::new(), 0);
    schema.push(Struct::default().text(4, "schema").int(5, I32, number(columns.len())));
    for (name, column) in columns {
        let data = column.bytes();
        let page =
            Struct::default().int(1, I32, 0).int(2, I32, number(data.len())).int(3, I32, number(data.len())).nested(
                5,
                Struct::default().int(1, I32, number(rows)).int(2, I32, PLAIN).int(3, I32, RLE).int(4, I32, RLE),
            );
        let offset = number(file.len());
        file.extend(page.end());
        file.extend(data);
        let size = number(file.len()) - offset;
        total += size;
        schema.push(Struct::default().int(1, I32, column.kind()).int(3, I32, 0).text(4, name));
        let about = Struct::default()
            .int(1, I32, column.kind())
            .ints(2, &[PLAIN, RLE])
            .texts(3, name)
            .int(4, I32, 0)
            .int(5, I64, number(rows))
            .int(6, I64, size)
            .int(7, I64, size)
            .int(9, I64, offset);
        chunks.push(Struct::default().int(2, I64, offset).nested(3, about));
    }
    let group = Struct::default().structs(1, chunks).int(2, I64, total).int(3, I64, number(rows));
    let footer = Struct::default()
        .int(1, I32, 1)
        .structs(2, schema)
        .int(3, I64, number(rows))
        .structs(4, vec![group])
        .text(6, concat!("personaguard ", env!("CARGO_PKG_VERSION")))
        .end();
    file.extend(&footer);
    file.extend(u32::try_from(footer.len()).unwrap_or(u32::MAX).to_le_bytes());
    file.extend(MAGIC);
    file
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

// Types of Thrift's compact protocol.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A structure in Thrift's compact protocol, being written; fields in rising order of their numbers.
#[derive(Default)]
struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

impl Struct {
    fn field(&mut self, id: u8, kind: u8) {
        self.bytes.push((id - self.last) << 4 | kind);
        self.last = id;
    }

    fn int(mut self, id: u8, kind: u8, value: i64) -> Self {
        self.field(id, kind);
        zigzag(&mut self.bytes, value);
        self
    }

    fn text(mut self, id: u8, text: &str) -> Self {
        self.field(id, BINARY);
        binary(&mut self.bytes, text);
        self
    }

    fn ints(mut self, id: u8, values: &[i64]) -> Self {
        self.field(id, LIST);
        list(&mut self.bytes, values.len(), I32);
        values.iter().for_each(|value| zigzag(&mut self.bytes, *value));
        self
    }

    /// A list of one text.
    fn texts(mut self, id: u8, text: &str) -> Self {
        self.field(id, LIST);
        list(&mut self.bytes, 1, BINARY);
        binary(&mut self.bytes, text);
        self
    }

    fn structs(mut self, id: u8, structs: Vec<Self>) -> Self {
        self.field(id, LIST);
        list(&mut self.bytes, structs.len(), STRUCT);
        structs.into_iter().for_each(|one| self.bytes.extend(one.end()));
        self
    }

    fn nested(mut self, id: u8, inner: Self) -> Self {
        self.field(id, STRUCT);
        self.bytes.extend(inner.end());
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn zigzag(bytes: &mut Vec<u8>, value: i64) {
    varint(bytes, (value << 1 ^ value >> 63).cast_unsigned());
}

fn binary(bytes: &mut Vec<u8>, text: &str) {
    varint(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

fn list(bytes: &mut Vec<u8>, length: usize, kind: u8) {
    match u8::try_from(length) {
        Ok(short @ 0..15) => bytes.push(short << 4 | kind),
        _ => {
            bytes.push(0xf0 | kind);
            varint(bytes, length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What pyarrow was shown: see `tests/ranks/check_parquet.py`.
    #[test]
    fn the_table_is_the_one_that_pyarrow_was_shown() {
        let names = (0..20).map(|index| format!("real {index}"));
        let columns = std::iter::once(("line".to_owned(), Column::Whole(vec![7, -1, i64::MAX])))
            .chain(names.map(|name| (name, Column::Real(vec![0.5, -2.25, 1e300]))));
        let found = table(&columns.collect::<Vec<_>>());
        if let Ok(path) = std::env::var("PERSONAGUARD_WRITE_PARQUET") {
            std::fs::write(path, &found).unwrap();
        }
        assert_eq!(
            personaguard_persona::sha256_hex(&found),
            "2ece64d77e9c75ea5db949adf39653d5d9097f46673a2c786a0181e53a2c0844"
        );
    }
}
