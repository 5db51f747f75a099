use super::*;
use std::error::Error as _;

#[test]
fn an_error_keeps_its_cause_beside_what_it_concerns() {
    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
    let cause = missing.to_string();
    let error = Err::<(), _>(missing).context("cannot read a.safetensors").unwrap_err();
    assert_eq!(error.to_string(), "cannot read a.safetensors");
    assert_eq!(error.with_causes(), format!("cannot read a.safetensors: {cause}"));
}

#[test]
fn a_missing_value_is_an_error_by_itself() {
    let error = None::<()>.with_context(|| "line 3 is missing".to_owned()).unwrap_err();
    assert_eq!(error.to_string(), "line 3 is missing");
    assert!(error.source().is_none());
}
