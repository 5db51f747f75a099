//! Every condition type and reason, in one place.

/// Condition types. All are positive but `TraitBreached`, `DriftDetected` and `BypassDetected`.
pub mod condition {
    /// Summary: everything below holds.
    pub const READY: &str = "Ready";
    /// `PersonaPolicy`: model, vectors and thresholds resolved.
    pub const ACCEPTED: &str = "Accepted";
    /// `PersonaPolicy`: every selected pod has acknowledged to enforce this generation.
    pub const GUARDED: &str = "Guarded";
    /// `PersonaPolicy`, `PersonaReport`: a trait is past its threshold.
    pub const TRAIT_BREACHED: &str = "TraitBreached";
    /// `PersonaPolicy`: with `calibration.from: Traffic`, there are responses enough to give
    /// thresholds in.
    pub const CALIBRATED: &str = "Calibrated";
    /// `PersonaReport`: the scores of a trait have moved from the calibration, and stay there.
    pub const DRIFT_DETECTED: &str = "DriftDetected";
    /// `PersonaPolicy` in placement Proxy: traffic may reach a selected pod's app past its sidecar.
    pub const BYPASS_DETECTED: &str = "BypassDetected";
    /// `PersonaVector`: adding the vector moves the text of answers along the trait, further with
    /// each coefficient.
    pub const STEERS: &str = "Steers";
    /// `DatasetScreen`: the ranks are written.
    pub const COMPLETE: &str = "Complete";
    /// `PersonaReport`: every guarded pod of the workload reported of late.
    pub const REPORTING: &str = "Reporting";
}

/// Reasons.
pub mod reason {
    /// Accepted: everything the policy names was found and fits.
    pub const RESOLVED: &str = "Resolved";
    /// Accepted, Ready: the model that is named does not exist.
    pub const MODEL_NOT_FOUND: &str = "ModelNotFound";
    /// Accepted: a vector that is named does not exist.
    pub const VECTOR_NOT_FOUND: &str = "VectorNotFound";
    /// Accepted: a vector that is named is not ready.
    pub const VECTOR_NOT_READY: &str = "VectorNotReady";
    /// Ready, Accepted: a vector was made for another model, by name or by weight digest.
    pub const MODEL_MISMATCH: &str = "ModelMismatch";
    /// Ready, Accepted: the vector file lacks the layer.
    pub const LAYER_MISSING: &str = "LayerMissing";
    /// Ready: the ConfigMap or key of a vector file does not exist.
    pub const ARTIFACT_NOT_FOUND: &str = "ArtifactNotFound";
    /// Ready: a file has another SHA-256 than the one named.
    pub const DIGEST_MISMATCH: &str = "DigestMismatch";
    /// Ready: a vector file cannot be read.
    pub const ARTIFACT_INVALID: &str = "ArtifactInvalid";
    /// Ready: a vector file was read, checked and fits.
    pub const IMPORTED: &str = "Imported";
    /// Ready: a Job extracted the vector, and it fits.
    pub const EXTRACTED: &str = "Extracted";
    /// Ready: a Job is extracting the vector.
    pub const EXTRACTING: &str = "Extracting";
    /// Ready: the Job that was to extract the vector failed.
    pub const EXTRACTION_FAILED: &str = "ExtractionFailed";
    /// Ready, Accepted: the vector separates held-out answers no better than its permuted-label
    /// control.
    pub const NOT_DISCRIMINATIVE: &str = "NotDiscriminative";
    /// Steers: on held-out questions both measures of answers rise with each coefficient.
    pub const STEERING_RISES: &str = "SteeringRises";
    /// Steers, Ready, Accepted: they do not, at some step.
    pub const DOES_NOT_STEER: &str = "DoesNotSteer";
    /// Steers (Unknown): the file does not say, for this layer.
    pub const STEERING_NOT_MEASURED: &str = "SteeringNotMeasured";
    /// Accepted: a quantile or sigma threshold without a calibration, of the vector or the traffic,
    /// that carries it.
    pub const CALIBRATION_MISSING: &str = "CalibrationMissing";
    /// Calibrated: responses are being collected, in mode `Audit`.
    pub const COLLECTING: &str = "Collecting";
    /// Calibrated: there are enough.
    pub const CALIBRATED: &str = "Calibrated";
    /// Accepted: a policy names the same vector twice.
    pub const DUPLICATE_VECTOR: &str = "DuplicateVector";
    /// Accepted: a threshold is missing, ambiguous, or a band that is empty.
    pub const THRESHOLD_INVALID: &str = "ThresholdInvalid";
    /// Accepted: a trait lacks what its action needs, or has what belongs to another.
    pub const ACTION_INCOMPLETE: &str = "ActionIncomplete";
    /// Accepted: a policy that enforces is sampled, or the sampling makes no sense.
    pub const SAMPLING_INVALID: &str = "SamplingInvalid";
    /// Accepted: the resolved config does not fit a ConfigMap.
    pub const CONFIG_TOO_LARGE: &str = "ConfigTooLarge";
    /// Accepted: the selector does not parse.
    pub const SELECTOR_INVALID: &str = "SelectorInvalid";
    /// Accepted: nothing is injected in this namespace.
    pub const NAMESPACE_EXCLUDED: &str = "NamespaceExcluded";
    /// Accepted: two policies steer the same pod along the same vector with different coefficients,
    /// or cap it at a floor above the other's ceiling.
    pub const STEERING_CONFLICT: &str = "SteeringConflict";
    /// Accepted: policies of one model in a namespace disagree on placement or port; the oldest
    /// one's stands.
    pub const PLACEMENT_CONFLICT: &str = "PlacementConflict";
    /// Accepted: placement Proxy without a port, or with an action that it does not have.
    pub const PLACEMENT_INVALID: &str = "PlacementInvalid";
    /// Accepted: a pod is selected by policies of different models; it gets the first one's
    /// sidecar.
    pub const MODEL_CONFLICT: &str = "ModelConflict";
    /// Guarded: every selected pod acknowledged.
    pub const ACKNOWLEDGED: &str = "Acknowledged";
    /// Guarded: some pods have not acknowledged yet.
    pub const AWAITING_ACKNOWLEDGEMENT: &str = "AwaitingAcknowledgement";
    /// Guarded: some pods were there before the policy and have no sidecar.
    pub const PODS_WITHOUT_SIDECAR: &str = "PodsWithoutSidecar";
    /// Guarded: no pod is selected.
    pub const NO_PODS: &str = "NoPods";
    /// Guarded, Ready: a sidecar refuses a trait, or its config.
    pub const REFUSED_BY_SIDECAR: &str = "RefusedBySidecar";
    /// Ready: a sidecar cannot read the weights.
    pub const WEIGHTS_INVALID: &str = "WeightsInvalid";
    /// Ready: the weight file is missing.
    pub const WEIGHTS_NOT_FOUND: &str = "WeightsNotFound";
    /// Ready: the model's architecture or a setting of it is not supported.
    pub const MODEL_UNSUPPORTED: &str = "ModelUnsupported";
    /// Ready: a sidecar loaded and serves it.
    pub const SERVED: &str = "Served";
    /// Ready (Unknown): no sidecar has reported it yet.
    pub const NOT_SERVED_YET: &str = "NotServedYet";
    /// Ready: all is well.
    pub const GUARDING: &str = "Guarding";
    /// TraitBreached: a score passed its threshold within the recovery time.
    pub const THRESHOLD_PASSED: &str = "ThresholdPassed";
    /// TraitBreached: none did.
    pub const WITHIN_THRESHOLDS: &str = "WithinThresholds";
    /// DriftDetected: a control chart is past its limit, or was and has not come back far enough.
    pub const SCORES_MOVED: &str = "ScoresMoved";
    /// DriftDetected: none is.
    pub const SCORES_STEADY: &str = "ScoresSteady";
    /// BypassDetected, Ready: a Service targets the app's port by its number, or by another name of
    /// it.
    pub const SERVICE_GOES_PAST: &str = "ServiceGoesPast";
    /// BypassDetected, Ready: a port of the node leads to the app's port.
    pub const HOST_PORT_GOES_PAST: &str = "HostPortGoesPast";
    /// BypassDetected: nothing was found that leads past the sidecar.
    pub const NO_BYPASS: &str = "NoBypass";
    /// Reporting: all pods report.
    pub const ALL_PODS_REPORT: &str = "AllPodsReport";
    /// Reporting: some are silent.
    pub const PODS_SILENT: &str = "PodsSilent";
    /// Complete: Jobs are screening the data.
    pub const SCREENING: &str = "Screening";
    /// Complete: the ranks are written.
    pub const SCREENED: &str = "Screened";
    /// Complete: a Job failed.
    pub const SCREENING_FAILED: &str = "ScreeningFailed";
    /// Event: a policy was withdrawn from the sidecars.
    pub const WITHDRAWN: &str = "Withdrawn";
    /// Event, metric label: a call to the API server failed; it is tried again.
    pub const API_ERROR: &str = "ApiError";
}
