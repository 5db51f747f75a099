//! Whether the model is served as it was where a vector was made. The digest of the weight files
//! says nothing of that: numbers, quantisation while loading, adapters, versions.

use personaguard_wire::{GuardConfig, MadeOn, ResolvedPolicy, StaleVector};

/// A quantisation that is in the weight file, so that the file's digest binds it.
const IN_THE_FILE: &str = "gguf";

/// How the model is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// By our own engine, which computes as the weight file says.
    Own,
    /// By vLLM, with our plugin in it. What an older plugin does not tell is not compared.
    Vllm {
        /// Its version.
        version: String,
        /// Version of the plugin.
        plugin: String,
        /// The numbers that it computes with.
        dtype: Option<String>,
        /// How it quantises the weights.
        quantization: Option<String>,
        /// Whether requests can name adapters.
        lora: Option<bool>,
    },
}

impl Serving {
    /// The vectors of a policy that were made on the model served in another way. Those of other
    /// weights are not among them: they are refused.
    #[must_use]
    pub fn stale(&self, config: &GuardConfig, policy: &ResolvedPolicy) -> Vec<StaleVector> {
        let stale = policy.traits.iter().filter_map(|rule| {
            let vector = config.vectors.get(&rule.vector)?;
            let of_these_weights = vector.model_digest == config.model.sha256;
            let difference =
                of_these_weights.then(|| self.difference(vector.made_on.as_ref())).flatten()?;
            Some(StaleVector { vector: rule.vector.clone(), difference })
        });
        stale.collect()
    }

    /// What is served otherwise than a vector was made on, as a clause.
    fn difference(&self, made_on: Option<&MadeOn>) -> Option<String> {
        let differences = match (made_on, self) {
            (None, Self::Own) => return None,
            // Our own engine computes in single precision, of which any other is a rounding.
            (None, Self::Vllm { quantization, .. }) => {
                vec![Aspect::quantization(None, quantization.as_deref())]
            }
            (Some(made_on), Self::Own) => vec![
                Aspect::quantization(made_on.quantization.as_deref(), None),
                Aspect::adapter(made_on, Some(false)),
            ],
            (Some(made_on), Self::Vllm { version, plugin, dtype, quantization, lora }) => vec![
                Aspect::new("dtype", &made_on.dtype, dtype.as_deref().unwrap_or(&made_on.dtype)),
                Aspect::quantization(made_on.quantization.as_deref(), quantization.as_deref()),
                Aspect::adapter(made_on, *lora),
                // Patch releases change nothing that is measured.
                Aspect::new("vLLM", series(&made_on.version), series(version)),
                Aspect::new("plugin", series(&made_on.plugin), series(plugin)),
            ],
        };
        let differences: Vec<Aspect<'_>> =
            differences.into_iter().filter(|it| it.made != it.served).collect();
        let list = |of: fn(&Aspect<'_>) -> String| -> String {
            differences.iter().map(of).collect::<Vec<_>>().join(", ")
        };
        let made = list(|it| format!("{} {}", it.name, it.made));
        let served = list(|it| format!("{} {}", it.name, it.served));
        (!differences.is_empty()).then(|| format!("made with {made}; served with {served}"))
    }
}

/// One thing in which the two can differ.
struct Aspect<'a> {
    name: &'static str,
    made: &'a str,
    served: &'a str,
}

impl<'a> Aspect<'a> {
    fn new(name: &'static str, made: &'a str, served: &'a str) -> Self {
        Self { name, made, served }
    }

    fn quantization(made: Option<&'a str>, served: Option<&'a str>) -> Self {
        let beyond_the_file = |it: Option<&'a str>| it.filter(|it| *it != IN_THE_FILE);
        let name = |it| beyond_the_file(it).unwrap_or("none");
        Self::new("quantization", name(made), name(served))
    }

    /// Which adapter a request names is not known here, but whether it can name any.
    fn adapter(made_on: &'a MadeOn, served: Option<bool>) -> Self {
        let made = made_on.adapter.as_deref().unwrap_or("none");
        Self::new("adapter", made, if served == Some(false) { "none" } else { made })
    }
}

/// The release series of a version: `0.32` of `0.32.1+cpu`.
fn series(version: &str) -> &str {
    let end = version.match_indices('.').nth(1).map_or(version.len(), |(at, _)| at);
    &version[..end]
}

#[cfg(test)]
mod tests;
