use super::*;

#[test]
fn what_makes_a_model_write_is_known_however_it_is_spelt() {
    let post = |path| kind(&Method::POST, path);
    for path in [
        "/v1/chat/completions",
        "/chat/completions",
        "/openai/deployments/gpt/chat/completions",
        "//v1//chat/completions//",
        "/v1/./chat/x/../completions",
        "/v1/chat%2Fcompletions",
        "/v1/ch%61t/completions",
        "/v1/ch%2561t/completions",
        "/V1/Chat/Completions",
        "/v1/chat/completions;x=1",
    ] {
        assert_eq!(post(path), Kind::Writes(Api::Chat), "{path}");
    }
    assert_eq!(post("/v1/completions"), Kind::Writes(Api::Text));
    for path in [
        "/v1/responses",
        "/v1/messages",
        "/completion",
        "/api/chat",
        "/v1beta/models/m:generateContent",
    ] {
        assert_eq!(post(path), Kind::Writes(Api::Foreign), "{path}");
    }
    for path in [
        "/",
        "/v1/embeddings",
        "/v1/models",
        "/v1/chat/completions/x",
        "/v1/rerank",
        "/%",
        "/%zz",
        "/%e2",
    ] {
        assert_eq!(post(path), Kind::Plain, "{path}");
    }
    assert_eq!(kind(&Method::GET, "/v1/chat/completions"), Kind::Plain);
}
