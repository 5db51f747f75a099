use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_written_is_read(
        vectors in prop::collection::btree_map(
            "[a-z]{1,9}",
            prop::collection::vec(-1e6_f32..1e6, 1..50),
            0..6,
        )
    ) {
        let borrowed =
            vectors.iter().map(|(name, vector)| (name.clone(), vector.as_slice())).collect();
        let file = write_vector_bundle(&borrowed).unwrap();
        prop_assert_eq!(&file, &write_vector_bundle(&borrowed).unwrap());
        prop_assert_eq!(read_vector_bundle(&file).unwrap(), vectors);
    }

    #[test]
    fn hostile_bytes_never_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_vector_bundle(&file);
    }
}

#[test]
fn values_that_are_not_finite_are_refused() {
    let bundle =
        |value: f32| write_vector_bundle(&BTreeMap::from([("evil".to_owned(), &[value][..])]));
    assert!(bundle(f32::NAN).is_err());
    let mut file = bundle(1.0).unwrap();
    let end = file.len();
    file[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let message = read_vector_bundle(&file).unwrap_err().to_string();
    assert!(message.contains("not a finite number"), "{message}");
}
