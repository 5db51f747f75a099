//! A writer of GGUF files, version 3.

/// Collects metadata and tensors, and makes a file of them.
#[derive(Debug, Default)]
pub struct Writer {
    metadata: Vec<u8>,
    entries: u64,
    infos: Vec<u8>,
    tensors: u64,
    data: Vec<u8>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Writer {
    fn entry(&mut self, key: &str, kind: u32) {
        text(&mut self.metadata, key);
        self.metadata.extend(kind.to_le_bytes());
        self.entries += 1;
    }

    /// A string.
    pub fn text(&mut self, key: &str, value: &str) {
        self.entry(key, 8);
        text(&mut self.metadata, value);
    }

    /// An unsigned integer.
    pub fn int(&mut self, key: &str, value: u32) {
        self.entry(key, 4);
        self.metadata.extend(value.to_le_bytes());
    }

    /// A number.
    pub fn float(&mut self, key: &str, value: f32) {
        self.entry(key, 6);
        self.metadata.extend(value.to_le_bytes());
    }

    /// An array of strings.
    pub fn texts(&mut self, key: &str, values: &[String]) {
        self.entry(key, 9);
        self.metadata.extend(8_u32.to_le_bytes());
        self.metadata.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| text(&mut self.metadata, value));
    }

    /// An array of integers.
    pub fn ints(&mut self, key: &str, values: &[i32]) {
        self.entry(key, 9);
        self.metadata.extend(5_u32.to_le_bytes());
        self.metadata.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| self.metadata.extend(value.to_le_bytes()));
    }

    /// An array of booleans.
    pub fn bools(&mut self, key: &str, values: &[u8]) {
        self.entry(key, 9);
        self.metadata.extend(7_u32.to_le_bytes());
        self.metadata.extend((values.len() as u64).to_le_bytes());
        self.metadata.extend(values);
    }

    /// A byte-level BPE without merges: 256 bytes, then control tokens.
    pub fn byte_tokenizer(&mut self, vocabulary: usize) {
        let printable = (33..=126_u32).chain(161..=172).chain(174..=255).chain(256..=323);
        let mut tokens: Vec<String> =
            printable.filter_map(char::from_u32).map(String::from).collect();
        assert_eq!(tokens.len(), 256);
        tokens.extend((256..vocabulary).map(|index| format!("<|control {index}|>")));
        let kinds: Vec<i32> =
            (0..vocabulary).map(|index| if index < 256 { 1 } else { 3 }).collect();
        self.text("tokenizer.ggml.model", "gpt2");
        self.text("tokenizer.ggml.pre", "gpt-2");
        self.texts("tokenizer.ggml.tokens", &tokens);
        self.ints("tokenizer.ggml.token_type", &kinds);
        self.texts("tokenizer.ggml.merges", &[]);
        self.int("tokenizer.ggml.eos_token_id", 256);
    }

    /// A tensor of single precision.
    pub fn tensor_f32(&mut self, name: &str, rows: usize, columns: usize, values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, rows, columns, 0, &bytes);
    }

    /// A tensor; `kind` is a ggml type number.
    pub fn tensor(&mut self, name: &str, rows: usize, columns: usize, kind: u32, bytes: &[u8]) {
        text(&mut self.infos, name);
        let shape: &[usize] = if rows == 1 { &[columns] } else { &[columns, rows] };
        self.infos.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|&size| self.infos.extend((size as u64).to_le_bytes()));
        self.infos.extend(kind.to_le_bytes());
        self.infos.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(bytes);
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self.tensors += 1;
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(self.tensors.to_le_bytes());
        file.extend(self.entries.to_le_bytes());
        file.extend(self.metadata);
        file.extend(self.infos);
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(self.data);
        file
    }
}
