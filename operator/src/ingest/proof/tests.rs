use super::*;
use axum::http::HeaderValue;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

fn signed(seed: u8, body: &[u8]) -> HeaderMap {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let value = |bytes: &[u8]| HeaderValue::from_str(&hex::encode(bytes)).unwrap();
    HeaderMap::from_iter([
        (KEY_HEADER.parse().unwrap(), value(pair.public_key().as_ref())),
        (SIGNATURE_HEADER.parse().unwrap(), value(pair.sign(&signed_text(body)).as_ref())),
    ])
}

#[test]
fn issue_15_17_only_the_holder_of_the_key_can_sign_for_a_process() {
    let headers = signed(1, b"body");
    let process = signer(&headers, b"body").unwrap();
    assert_eq!(process.len(), 64);
    assert_ne!(process, signer(&signed(2, b"body"), b"body").unwrap());
    signer(&headers, b"another body").unwrap_err();
    // The key of one, the signature of another.
    let mut mixed = signed(2, b"body");
    mixed.insert(KEY_HEADER, headers[KEY_HEADER].clone());
    signer(&mixed, b"body").unwrap_err();
    for header in [KEY_HEADER, SIGNATURE_HEADER] {
        let mut without = headers.clone();
        without.remove(header);
        signer(&without, b"body").unwrap_err();
        without.insert(header, HeaderValue::from_static("00"));
        signer(&without, b"body").unwrap_err();
    }
}
