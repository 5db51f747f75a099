//! Condition types.

/// What a condition type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The condition's `type`.
    pub name: &'static str,
    /// Kinds whose status has it.
    pub kinds: &'static [&'static str],
    /// Status of a healthy object: `True`, or `False` for a condition that reports a problem.
    pub healthy: &'static str,
    /// What status `True` means.
    pub means: &'static str,
}

/// One constant per condition type, and the table of them all.
macro_rules! conditions {
    ($(
        $constant:ident = $name:literal of [$($kind:ident),+], healthy $healthy:literal:
            $means:literal;
    )+) => {
        $(
            #[doc = $means]
            pub const $constant: &str = $name;
        )+

        /// Every condition type.
        pub const ALL: &[Condition] = &[$(Condition {
            name: $name,
            kinds: &[$(stringify!($kind)),+],
            healthy: $healthy,
            means: $means,
        }),+];
    };
}

conditions! {
    READY = "Ready" of [PersonaPolicy, PersonaModel, PersonaVector], healthy "True":
        "PersonaPolicy: accepted, enforced in every selected pod, and not bypassed. PersonaModel: \
         a sidecar serves the model. PersonaVector: the file was verified, fits the model and can \
         be used.";
    ACCEPTED = "Accepted" of [PersonaPolicy], healthy "True":
        "The model and the vectors exist and fit, and every threshold was resolved.";
    GUARDED = "Guarded" of [PersonaPolicy], healthy "True":
        "Every selected pod has acknowledged that it enforces this generation.";
    TRAIT_BREACHED = "TraitBreached" of [PersonaPolicy, PersonaReport], healthy "False":
        "A trait passed its threshold within the last `spec.recoverAfterSeconds`.";
    CALIBRATED = "Calibrated" of [PersonaPolicy], healthy "True":
        "With `calibration.from: Traffic`: enough responses were collected to set thresholds by.";
    CALIBRATION_STALE = "CalibrationStale" of [PersonaPolicy], healthy "False":
        "Placement Engine: the model server serves the weights in another way than a vector of \
         the policy was made on, so that its calibration may not fit. A warning: the policy stays \
         enforced, and `Ready`.";
    BYPASS_DETECTED = "BypassDetected" of [PersonaPolicy], healthy "False":
        "Traffic goes past the sidecar of a selected pod, or can: to the app behind it (placements \
         Proxy and Engine), or to another model server (Serve).";
    STEERS = "Steers" of [PersonaVector], healthy "True":
        "On held-out questions, answers move along the trait with every step of the coefficient.";
    DRIFT_DETECTED = "DriftDetected" of [PersonaReport], healthy "False":
        "The scores of a trait have moved away from their calibration, and stay there.";
    REPORTING = "Reporting" of [PersonaReport], healthy "True":
        "Every guarded pod of the workload has reported recently.";
    AUDIT_LOG_INTACT = "AuditLogIntact" of [PersonaReport], healthy "True":
        "The audit log of every pod has only grown, and tells of no gap. Absent where no pod has \
         one.";
    COMPLETE = "Complete" of [DatasetScreen], healthy "True":
        "The data set has been screened and the ranks are written.";
}
