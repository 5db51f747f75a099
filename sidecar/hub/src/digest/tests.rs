use super::*;

#[test]
fn a_tag_is_checked_as_whatever_digest_it_is() {
    // `printf hello | git hash-object --stdin`, `| sha1sum` and `| sha256sum`.
    for (tag, size) in [
        ("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0", Some(5)),
        ("AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D", Some(5)),
        ("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", None),
    ] {
        let digest = ContentDigest::of_etag(tag, size).unwrap();
        for (bytes, is_it) in [(&b"hello"[..], true), (b"jello", false)] {
            let mut hasher = Hasher::new(Some(&digest), Some(5));
            hasher.update(bytes);
            assert_eq!(hasher.finish().are(&digest), is_it, "{tag}");
        }
    }
    for (tag, size) in [
        ("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0", None),
        ("5d41402abc4b2a76b9719d911017c592", Some(5)),
        ("zzfc4c620b67d95f953a5c1c1230aaab5db5a1b0", Some(5)),
    ] {
        assert_eq!(ContentDigest::of_etag(tag, size), None, "{tag}");
    }
}
