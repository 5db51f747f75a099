//! Errors of the upstream server, without its words: anything could stand there.

use crate::proxy::shape::Shape;
use serde_json::{Value, json};

/// Types and codes of errors that common servers give.
const KNOWN: Shape = Shape::Word(&[
    "api_error",
    "authentication_error",
    "AuthenticationError",
    "BadRequestError",
    "billing_error",
    "context_length_exceeded",
    "exceed_context_size_error",
    "insufficient_quota",
    "InternalServerError",
    "internal_error",
    "internal_server_error",
    "invalid_api_key",
    "invalid_request_error",
    "model_not_found",
    "not_found_error",
    "not_supported_error",
    "NotFoundError",
    "overloaded_error",
    "permission_error",
    "rate_limit_error",
    "rate_limit_exceeded",
    "request_too_large",
    "server_error",
    "timeout_error",
    "unavailable_error",
    "unsupported_parameter",
]);

/// The error object that stands in place of the server's own: its type, code and the number of
/// its status stay where they are known.
pub(in crate::proxy) fn withheld(error: &Value, status: Option<u16>) -> Value {
    let code = |field: &str| {
        let value = error.get(field).cloned().unwrap_or(Value::Null);
        if value.is_number() { value } else { KNOWN.of(value) }
    };
    let kind = match KNOWN.of(code("type")) {
        Value::Null => json!("server_error"),
        kind => kind,
    };
    let answered = status.map_or_else(String::new, |status| format!(" It answered {status}."));
    let message = format!(
        "The model server reports an error.{answered} Its words are held back by a policy of this \
         service, as they cannot be scored: its own log has them."
    );
    json!({ "message": message, "type": kind, "param": null, "code": code("code") })
}
