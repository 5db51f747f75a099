use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn streams_never_split_a_character(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        cut in 1_usize..5,
    ) {
        let mut buffer = Utf8Buffer::default();
        let mut text: String = bytes.chunks(cut).map(|chunk| buffer.push(chunk)).collect();
        prop_assert!(buffer.0.len() < 4);
        text.push_str(&buffer.finish());
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }
}
