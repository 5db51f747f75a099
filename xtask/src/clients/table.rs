//! The clients that are run, for the page about what is taken from them.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write as _;

const NPM: &str = include_str!("package.json");

/// A package from PyPI.
pub(super) struct Package {
    /// With an upper bound: the next major version is to be looked at first, since what it asks
    /// for, and what the scripts call, may have changed.
    pub(super) wanted: &'static str,
    /// The version of the last run.
    tested: &'static str,
    /// What is asked by it, and what it makes of an answer that a policy cuts.
    asks: &'static str,
    cut: &'static str,
}

/// Clients, and LiteLLM's proxy.
pub(super) const PACKAGES: [Package; 6] = [
    Package {
        wanted: "openai>=3,<4",
        tested: "3.57.0",
        asks: "chats (plain, streamed, async, at once, two choices, log probabilities, roles and \
               parts), tools, `parse`, completions, responses, embeddings",
        cut: "`finish_reason` `content_filter`; a response is `incomplete`; `parse` raises \
              `ContentFilterFinishReasonError`",
    },
    Package {
        wanted: "anthropic>=2,<3",
        tested: "2.14.0",
        asks: "messages (plain, streamed, async, blocks), tools, `parse`, `count_tokens`",
        cut: "`stop_reason` `refusal`",
    },
    Package {
        wanted: "litellm[proxy]>=1,<2",
        tested: "1.108.7",
        asks: "chats, tools, structured output, responses, embeddings; messages by `anthropic/`; \
               its proxy in front of llama.cpp",
        cut: "`finish_reason` `content_filter`",
    },
    Package {
        wanted: "langchain>=1,<2",
        tested: "1.5.2",
        asks: "messages, tools and batches of the next two",
        cut: "as the next two",
    },
    Package {
        wanted: "langchain-openai>=1,<2",
        tested: "1.7.4",
        asks: "chats and responses (`invoke`, `stream`, both async), tools, \
               `with_structured_output`, embeddings",
        cut: "`finish_reason` `content_filter`; a response is `incomplete`",
    },
    Package {
        wanted: "langchain-anthropic>=1,<2",
        tested: "1.7.10",
        asks: "messages, likewise",
        cut: "`stop_reason` `refusal`",
    },
];

/// Packages from npm, with exact versions in `package.json`.
const NPM_CLIENTS: [(&str, &str); 4] = [
    ("ai", "`generateText`, `streamText`, `Output.object`, tools, `embedMany`, of the next three"),
    ("@ai-sdk/openai", "chats and responses"),
    ("@ai-sdk/openai-compatible", "chats, embeddings"),
    ("@ai-sdk/anthropic", "messages"),
];

/// The section of the page.
///
/// # Errors
/// A client is missing in `package.json`.
pub(crate) fn section() -> Result<String> {
    let mut section = "| client | version | what is asked by it | an answer that is cut |\n\
                       | --- | --- | --- | --- |\n"
        .to_owned();
    for Package { wanted, tested, asks, cut } in PACKAGES {
        let name = wanted.split(['[', '>']).next().unwrap_or(wanted);
        writeln!(section, "| `{name}` (PyPI) | {tested} | {asks} | {cut} |")?;
    }
    let npm: Value = serde_json::from_str(NPM)?;
    for (name, asks) in NPM_CLIENTS {
        let version = npm["dependencies"][name].as_str();
        let version = version.with_context(|| format!("package.json has no {name}"))?;
        let cut = "`finishReason` `content-filter`; where a call or an object is due, \
                   `ToolChoiceViolationError`, `NoOutputGeneratedError` or \
                   `NoObjectGeneratedError`";
        let cut = if name == "ai" { cut } else { "as `ai`" };
        writeln!(section, "| `{name}` (npm) | {version} | {asks} | {cut} |")?;
    }
    Ok(section)
}
