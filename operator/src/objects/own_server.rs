//! How a container is told of a model server: by variables of the usual clients, or by flags of the
//! same names. Pure.

use k8s_openapi::api::core::v1::{Container, EnvVar};
use personaguard_api::names;

/// A container that is told of another server than the sidecar, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnServer {
    pub(crate) container: String,
    /// `OPENAI_API_BASE`, or `--openai-api-base`.
    pub(crate) by: String,
}

/// Whose variables are asked about, and how these end.
const OWNERS: [&str; 14] = [
    "OPENAI",
    "AZURE_OPENAI",
    "ANTHROPIC",
    "OLLAMA",
    "MISTRAL",
    "GROQ",
    "GEMINI",
    "GOOGLE_GEMINI",
    "COHERE",
    "OPENROUTER",
    "DEEPSEEK",
    "LITELLM",
    "VLLM",
    "LLM",
];
const ENDS: [&str; 8] = [
    "BASE_URL",
    "API_BASE",
    "API_BASE_URL",
    "API_BASE_URLS",
    "API_URL",
    "API_HOST",
    "API_ENDPOINT",
    "ENDPOINT",
];

impl OwnServer {
    pub(super) fn of(container: &Container) -> Option<Self> {
        let by = by_variable(container).or_else(|| by_argument(container))?;
        Some(Self { container: container.name.clone(), by })
    }
}

/// Where the value comes from elsewhere it cannot be seen, and is not the sidecar's either.
fn by_variable(container: &Container) -> Option<String> {
    let variables = container.env.as_deref().unwrap_or_default();
    // The last of several counts.
    let counts = |it: &EnvVar| variables.iter().rfind(|last| last.name == it.name) == Some(it);
    let found = variables.iter().find(|it| {
        let value = it.value.as_deref().unwrap_or_default();
        let elsewhere = !leads_to_sidecar(value);
        // Of the others an empty one says nothing: only ours was in its place.
        let says = it.name == names::BASE_URL_ENV || it.value_from.is_some() || !value.is_empty();
        names_server(&it.name) && counts(it) && says && elsewhere
    });
    found.map(|it| it.name.clone())
}

/// `--openai-api-base=URL`, `--openai-api-base URL`, and `OPENAI_BASE_URL=URL` in a command of a
/// shell.
fn by_argument(container: &Container) -> Option<String> {
    let all = container.command.iter().flatten().chain(container.args.iter().flatten());
    let words: Vec<&str> = all.flat_map(|it| it.split_whitespace()).collect();
    let found = words.iter().enumerate().find(|(index, word)| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None if word.starts_with("--") => (**word, words.get(index + 1).copied()),
            None => return false,
        };
        let value = value.map(|it| it.trim_matches(['"', '\'']));
        is_option(name) && value.is_some_and(|it| it.contains("://") && !leads_to_sidecar(it))
    });
    found.map(|(_, word)| word.split('=').next().unwrap_or(word).to_owned())
}

fn is_option(name: &str) -> bool {
    let plain = name.trim_start_matches('-').replace('-', "_").to_uppercase();
    names_server(&plain) || (name.starts_with('-') && plain == "API_BASE")
}

fn names_server(variable: &str) -> bool {
    OWNERS.iter().any(|owner| {
        let rest = variable.strip_prefix(owner).and_then(|rest| rest.strip_prefix('_'));
        rest.is_some_and(|rest| ENDS.contains(&rest))
    })
}

fn leads_to_sidecar(url: &str) -> bool {
    let rest = url.trim().strip_prefix("http://").unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once(':').is_some_and(|(host, port)| {
        ["127.0.0.1", "localhost", "[::1]"].contains(&host) && port.parse() == Ok(names::API_PORT)
    })
}
