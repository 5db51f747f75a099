//! Where spans go, by the variables of OpenTelemetry's specification. Pure.

#[cfg(test)]
mod tests;

use reqwest::Url;
use std::path::PathBuf;

/// Ports that collectors receive on, by convention.
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;
const HTTP_PATH: &str = "/v1/traces";

const SAMPLERS: [&str; 4] =
    ["always_on", "always_off", "parentbased_always_on", "parentbased_always_off"];
const RATIO_SAMPLERS: [&str; 2] = ["traceidratio", "parentbased_traceidratio"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    /// Protobuf over HTTP.
    Http,
}

#[derive(Debug, PartialEq)]
pub(super) struct Destination {
    pub(super) endpoint: String,
    pub(super) protocol: Protocol,
    pub(super) gzip: bool,
    /// Authorities to trust beside the system's, as PEM.
    pub(super) certificate: Option<PathBuf>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// None: nothing is sent.
    pub(super) destination: Option<Destination>,
    pub(super) warnings: Vec<String>,
}

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Plan {
    pub(super) fn read(flag: Option<&str>, variable: Variable<'_>) -> Self {
        let mut reader = Reader { variable, warnings: Vec::new() };
        let destination = if reader.is_off() { None } else { reader.destination(flag) };
        Self { destination, warnings: reader.warnings }
    }
}

struct Reader<'a> {
    variable: Variable<'a>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// A variable that is set: an empty one is not.
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The variable for traces, or else the one for all signals; with its name.
    fn otlp(&self, what: &str) -> Option<(String, String)> {
        ["TRACES_", ""].into_iter().find_map(|signal| {
            let name = format!("OTEL_EXPORTER_OTLP_{signal}{what}");
            self.get(&name).map(|value| (name, value))
        })
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Whether traces are switched off.
    fn is_off(&mut self) -> bool {
        if self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return true;
        }
        let Some(exporters) = self.get("OTEL_TRACES_EXPORTER") else { return false };
        let (known, others): (Vec<&str>, Vec<&str>) =
            exporters.split(',').map(str::trim).partition(|name| ["otlp", "none"].contains(name));
        let is_off = !known.contains(&"otlp");
        if !others.is_empty() {
            let others = others.join(", ");
            let end = if is_off { "no traces are sent" } else { "they go to otlp alone" };
            self.warn(format!("OTEL_TRACES_EXPORTER: {others} is not supported; {end}"));
        }
        is_off
    }

    fn destination(&mut self, flag: Option<&str>) -> Option<Destination> {
        let flag = flag.map(str::trim).filter(|flag| !flag.is_empty());
        let flag = flag.map(|flag| ("--otlp-endpoint".to_owned(), flag.to_owned()));
        let (name, text) = flag.or_else(|| self.otlp("ENDPOINT"))?;
        let is_whole = name.contains("TRACES");
        let asked = self.protocol();
        let mut url = match self.url(&text, asked) {
            Ok(url) => url,
            Err(why) => {
                self.warn(format!(
                    "{name} {why}, so no traces are sent; an example: http://collector:{HTTP_PORT}"
                ));
                return None;
            }
        };
        let port = url.port_or_known_default();
        let has_path = url.path().len() > 1;
        let protocol = asked.unwrap_or(if port == Some(GRPC_PORT) && !has_path {
            Protocol::Grpc
        } else {
            Protocol::Http
        });
        self.compare(protocol, port);
        if protocol == Protocol::Http && !is_whole && !url.path().ends_with(HTTP_PATH) {
            let path = format!("{}{HTTP_PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        self.check_sampler();
        self.check_headers();
        Some(Destination {
            endpoint: url.into(),
            protocol,
            gzip: self.gzip(),
            certificate: self.otlp("CERTIFICATE").map(|(_, file)| PathBuf::from(file)),
        })
    }

    /// The URL, or why it is none. A value may have a secret in it, so it is not told.
    fn url(&self, text: &str, protocol: Option<Protocol>) -> Result<Url, String> {
        let text = if text.contains("://") {
            text.to_owned()
        } else if protocol == Some(Protocol::Grpc) {
            // gRPC's own form of an address.
            let insecure = self.otlp("INSECURE").map(|(_, value)| value);
            let is_insecure = insecure.is_some_and(|value| value.eq_ignore_ascii_case("true"));
            format!("{}://{text}", if is_insecure { "http" } else { "https" })
        } else {
            return Err("does not begin with http:// or https://".to_owned());
        };
        let url = Url::parse(&text).map_err(|error| format!("is no URL ({error})"))?;
        match (url.scheme(), url.host_str()) {
            ("http" | "https", Some(_)) => Ok(url),
            (scheme, _) => Err(format!("begins with {scheme}://, not http:// or https://")),
        }
    }

    /// The protocol that is asked for, if one is.
    fn protocol(&mut self) -> Option<Protocol> {
        let (name, value) = self.otlp("PROTOCOL")?;
        match value.to_ascii_lowercase().as_str() {
            "grpc" => Some(Protocol::Grpc),
            "http/protobuf" => Some(Protocol::Http),
            other => {
                self.warn(format!(
                    "{name}: `{other}` is not supported, so http/protobuf is used; grpc is known, \
                     too"
                ));
                Some(Protocol::Http)
            }
        }
    }

    /// Tells of a port that is usually the other protocol's.
    fn compare(&mut self, protocol: Protocol, port: Option<u16>) {
        let (port, other, said) = match (protocol, port) {
            (Protocol::Http, Some(GRPC_PORT)) => (GRPC_PORT, "grpc", "http/protobuf"),
            (Protocol::Grpc, Some(HTTP_PORT)) => (HTTP_PORT, "http/protobuf", "grpc"),
            _ => return,
        };
        self.warn(format!(
            "spans go to port {port} by {said}, but collectors usually receive {other} there; \
             OTEL_EXPORTER_OTLP_PROTOCOL says which is meant"
        ));
    }

    fn gzip(&mut self) -> bool {
        match self.otlp("COMPRESSION") {
            Some((_, value)) if value.eq_ignore_ascii_case("gzip") => true,
            Some((name, value)) if !value.eq_ignore_ascii_case("none") => {
                self.warn(format!(
                    "{name}: `{value}` is not supported, so spans are sent uncompressed; gzip is \
                     known"
                ));
                false
            }
            _ => false,
        }
    }

    /// The SDK follows the sampler itself, and takes all spans where it cannot.
    fn check_sampler(&mut self) {
        let Some(sampler) = self.get("OTEL_TRACES_SAMPLER") else { return };
        if RATIO_SAMPLERS.contains(&sampler.as_str()) {
            let ratio = self.get("OTEL_TRACES_SAMPLER_ARG");
            let parsed = ratio.as_ref().and_then(|ratio| ratio.parse::<f64>().ok());
            if !parsed.is_some_and(|ratio| (0.0..=1.0).contains(&ratio)) {
                self.warn(format!(
                    "OTEL_TRACES_SAMPLER is {sampler}, but OTEL_TRACES_SAMPLER_ARG is no number \
                     from 0 to 1, so every trace is sampled: {}",
                    ratio.as_deref().unwrap_or("it is not set")
                ));
            }
        } else if !SAMPLERS.contains(&sampler.as_str()) {
            self.warn(format!(
                "OTEL_TRACES_SAMPLER: `{sampler}` is not supported, so every trace is sampled that \
                 its parent does not leave out; known are {}, {}",
                SAMPLERS.join(", "),
                RATIO_SAMPLERS.join(", ")
            ));
        }
    }

    /// The exporter reads the headers itself, and passes over what is no `name=value`. Values are
    /// secrets.
    fn check_headers(&mut self) {
        let Some((name, value)) = self.otlp("HEADERS") else { return };
        let pairs = value.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let wrong = pairs
            .enumerate()
            .find(|(_, pair)| pair.split_once('=').is_none_or(|(name, _)| name.is_empty()));
        if let Some((index, _)) = wrong {
            self.warn(format!("{name}: item {} is not name=value, and is left out", index + 1));
        }
    }
}
