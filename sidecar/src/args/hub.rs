//! Options about how a model hub is reached.

use clap::Args;
use personaguard_hub::{FetchError, Hub, HubSettings, Pace, token_from};
use personaguard_terms::names;
use std::path::PathBuf;

/// How a model hub is reached. Its token is read from `HF_TOKEN`, from the file `HF_TOKEN_PATH`, or
/// from where the hub's own tools keep it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model hub")]
pub(crate) struct HubArgs {
    /// URL of the hub, or of a mirror of it.
    #[arg(
        long,
        env = names::HUB_ENDPOINT_ENV,
        value_name = "URL",
        default_value = names::PUBLIC_HUB
    )]
    hub_endpoint: String,
    /// URL of a proxy, http://HOST:PORT. Default: as HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and
    /// NO_PROXY say.
    #[arg(long, env = names::HUB_PROXY_ENV, value_name = "URL", hide_env_values = true)]
    hub_proxy: Option<String>,
    /// PEM bundle of certificate authorities that are trusted besides the system's.
    #[arg(long, env = names::HUB_CA_FILE_ENV, value_name = "FILE")]
    hub_ca_file: Option<PathBuf>,
    /// Fetch no model that is larger than this: a number of bytes, or one with Ki, Mi, Gi, Ti, k,
    /// M, G or T after it.
    #[arg(long, env = names::HUB_MAX_SIZE_ENV, value_name = "SIZE", value_parser = size)]
    hub_max_size: Option<u64>,
}

impl HubArgs {
    /// The hub, with the token that the environment says.
    pub(crate) fn hub(&self) -> Result<Hub, FetchError> {
        Hub::new(HubSettings {
            endpoint: self.hub_endpoint.clone(),
            token: token_from(|name| std::env::var_os(name))?,
            proxy: self.hub_proxy.clone().filter(|proxy| !proxy.is_empty()),
            ca_file: self.hub_ca_file.clone(),
            pace: Pace::default(),
        })
    }

    /// The most bytes that a model may have.
    pub(crate) fn max_bytes(&self) -> Option<u64> {
        self.hub_max_size
    }
}

/// A number of bytes, as Kubernetes writes it.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" => 1000,
        "M" => 1000 * 1000,
        "G" => 1000 * 1000 * 1000,
        "T" => 1000 * 1000 * 1000 * 1000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err("a number, or one with Ki, Mi, Gi, Ti, k, M, G or T after it".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{digits:?} is not a whole number"))?;
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_written_as_in_kubernetes() {
        for (text, bytes) in [("20Gi", 20 << 30), ("5G", 5_000_000_000), ("7", 7), ("3k", 3000)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["", "Gi", "-1", "1.5Gi", "20GB", "99999999999Ti"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
