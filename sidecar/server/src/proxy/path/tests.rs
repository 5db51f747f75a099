use super::*;

#[test]
fn what_makes_a_model_write_is_known_however_it_is_spelt() {
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
        assert_eq!(route(&Method::POST, path), Route::Writes(Api::Chat), "{path}");
    }
    for (path, api) in [
        ("/v1/completions", Api::Completions),
        ("/v1/responses", Api::Responses),
        ("/v1/messages/", Api::Messages),
    ] {
        assert_eq!(route(&Method::POST, path), Route::Writes(api), "{path}");
    }
}

#[test]
fn what_is_not_known_is_unknown() {
    for path in [
        "/",
        "/vertex_generate",
        "/v1/chat/completions/batch",
        "/v2/models/m/infer",
        "/v1/models/x:predict",
        "/bedrock/model/x/converse",
        "/api/extra/generate/stream",
        "/v1beta/models/m:generateContent",
        "/completion",
        "/api/chat",
        "/v1/batches",
        "/%",
        "/%zz",
        "/%e2",
        "/v1/embeddings/../anything",
        "/v1/%65mbeddings",
        "/detokenize",
    ] {
        assert_eq!(route(&Method::POST, path), Route::Unknown, "{path}");
    }
    for path in [
        "/v1/responses/resp_1",
        "/v1/chat/completions",
        "/v1/chat/completions/x",
        "/v1/messages",
        "/v1/files/f/content",
        "/v1/models/../chat",
        "/v1/models/%2e%2e/x",
    ] {
        assert_eq!(route(&Method::GET, path), Route::Unknown, "{path}");
    }
    assert_eq!(route(&Method::DELETE, "/v1/models/m"), Route::Unknown);
    assert_eq!(route(&Method::PATCH, "/v1/chat/completions"), Route::Unknown);
}

#[test]
fn what_makes_no_model_write_is_passive() {
    for (path, passive) in [
        ("/", Passive::Health),
        ("/health", Passive::Health),
        ("/prefix/healthz/", Passive::Health),
        ("/metrics", Passive::Metrics),
        ("/v1/models", Passive::Data),
        ("/v1/models/meta-llama/Llama-3.1-8B", Passive::Data),
        ("/openai/v1/models", Passive::Data),
        ("/version", Passive::Data),
        ("/api/tags", Passive::Data),
    ] {
        assert_eq!(route(&Method::GET, path), Route::Passive(passive), "{path}");
        assert_eq!(route(&Method::HEAD, path), Route::Passive(passive), "{path}");
    }
    for path in ["/v1/embeddings", "/tokenize", "/v1/rerank", "/v1/messages/count_tokens", "/score"]
    {
        assert_eq!(route(&Method::POST, path), Route::Passive(Passive::Data), "{path}");
    }
    assert_eq!(route(&Method::OPTIONS, "/v1/chat/completions"), Route::Preflight);
}
