//! Values of metric labels that come from fixed lists.

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use std::fmt::{self, Write as _};

/// Declares an enum of label values.
macro_rules! labels {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$value_doc:meta])* $value:ident = $label:literal,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $value,)+
        }

        impl $name {
            pub(super) const ALL: &[Self] = &[$(Self::$value),+];

            /// The label, as it is written in metrics and logs.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$value => $label,)+
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encoder.write_str(self.label())
            }
        }
    };
}

labels! {
    /// How a response ended.
    Outcome {
        /// The model ended it, or a stop string was found.
        Stop = "stop",
        /// It reached `max_tokens` or the end of the context.
        Length = "length",
        /// A policy stopped it.
        ContentFilter = "content_filter",
        /// It failed.
        Error = "error",
        /// The client disconnected.
        Cancelled = "cancelled",
        /// The request was refused.
        Rejected = "rejected",
    }
}

labels! {
    /// What became of a push to the operator.
    PushResult {
        /// The operator accepted it.
        Accepted = "accepted",
        /// The operator refused it.
        Rejected = "rejected",
        /// The operator was not reached, or could not take it.
        Failed = "failed",
    }
}

labels! {
    /// What became of a change of the config folder.
    ReloadResult {
        /// It is in force.
        Applied = "applied",
        /// The previous config stays in force.
        Rejected = "rejected",
    }
}

labels! {
    /// Whether a steered response was coherent.
    SteeringCoherence {
        /// It was.
        Kept = "kept",
        /// It was not.
        Lost = "lost",
        /// It was too short to tell, or there was no capacity to find out.
        Unknown = "unknown",
    }
}

labels! {
    /// Whether a request got what it asked for beyond the policies.
    OverrideResult {
        /// It did.
        Applied = "applied",
        /// A policy does not allow it.
        Refused = "refused",
    }
}

labels! {
    /// Where the attempt that leaves stands, of a response that was written again.
    RegenerationResult {
        /// Within its thresholds.
        Within = "within",
        /// Past one of them.
        Past = "past",
    }
}
