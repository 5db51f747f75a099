use super::*;

#[test]
fn slashes_and_versions_are_forgiven() {
    for path in [
        "/v1/chat/completions",
        "/v1/chat/completions/",
        "//v1//chat///completions//",
        "/chat/completions",
        "/v1/v1/chat/completions",
    ] {
        assert_eq!(respell(path), "/v1/chat/completions", "{path}");
    }
    for (path, expected) in [
        ("/", "/"),
        ("//", "/"),
        ("/v1", "/v1"),
        ("/healthz/", "/healthz"),
        ("/models/", "/v1/models"),
        ("/models/a", "/v1/models/a"),
        ("/v1/models/%ff", "/v1/models/%ff"),
        ("/v1/models/v1", "/v1/models/v1"),
        ("/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/v1/tokenize", "/tokenize"),
        ("/tokenize/", "/tokenize"),
        ("/v1/embeddings", "/v1/embeddings"),
        ("/chatter", "/chatter"),
    ] {
        assert_eq!(respell(path), expected, "{path}");
    }
    assert!(is_api("/v1/models") && is_api("/detokenize"));
    assert!(!is_api("/metrics") && !is_api("/readyz") && !is_api("/"));
}
