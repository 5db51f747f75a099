//! Paths as clients spell them: base URLs end with a slash, or lack their `/v1`, or have it twice.

/// First segments of the API's paths that are under `/v1`.
const UNDER_V1: [&str; 6] =
    ["chat", "completions", "embeddings", "messages", "models", "responses"];
/// Those that are not, as in vLLM.
const AT_ROOT: [&str; 2] = ["tokenize", "detokenize"];

/// The path as the routes have it. One that has nothing to do with the API stays as it is, but for
/// its slashes.
pub(super) fn respell(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let versions = segments.iter().take_while(|segment| **segment == "v1").count();
    match segments.get(versions) {
        Some(first) if UNDER_V1.contains(first) => drop(segments.splice(..versions, ["v1"])),
        Some(first) if AT_ROOT.contains(first) => drop(segments.drain(..versions)),
        _ => {}
    }
    format!("/{}", segments.join("/"))
}

/// Whether a path is the API's, and not that of health and metrics.
pub(super) fn is_api(path: &str) -> bool {
    let first = path.split('/').find(|segment| !segment.is_empty()).unwrap_or_default();
    first == "v1" || AT_ROOT.contains(&first)
}

#[cfg(test)]
mod tests;
