use super::*;

#[test]
fn an_upstream_is_a_plain_address() {
    for good in ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:80"] {
        assert!(good.parse::<Upstream>().is_ok(), "{good}");
    }
    for bad in
        ["", "127.0.0.1:8000", "https://x:1", "http://x/v1", "http://x?y", "http://u@x", "/x"]
    {
        assert_eq!(bad.parse::<Upstream>(), Err(UpstreamError), "{bad}");
    }
}

#[test]
fn headers_of_a_connection_stay_behind_and_others_survive() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "close, x-mine"),
        ("x-mine", "1"),
        ("te", "trailers"),
        ("x-other", "2"),
        ("keep-alive", "5"),
    ] {
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    strip(&mut headers);
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-other"]);
}
