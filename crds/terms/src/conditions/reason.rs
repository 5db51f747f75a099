//! Reasons of conditions, events and metrics.

use super::condition::{
    ACCEPTED, AUDIT_LOG_INTACT, BYPASS_DETECTED, CALIBRATED as IS_CALIBRATED, CALIBRATION_STALE,
    COMPLETE, DRIFT_DETECTED, GUARDED, READY, REPORTING, STEERS, TRAIT_BREACHED,
};

/// A reason, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The CamelCase `reason`.
    pub name: &'static str,
    /// Where it appears.
    pub places: &'static [Place],
    /// What it says.
    pub says: &'static str,
    /// What to do; empty where nothing is wrong.
    pub action: &'static str,
}

/// Where a reason appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// A condition type, [`EVENT`] or [`METRIC`].
    pub condition: &'static str,
    /// The kinds whose condition it is; empty for every kind that has the condition.
    pub kinds: &'static [&'static str],
}

/// The [`Place`] of a reason of events.
pub const EVENT: &str = "event";
/// The [`Place`] of a reason that is a label of the metric `reconciliations`.
pub const METRIC: &str = "metric label";

/// One constant per reason, and the table of them all.
macro_rules! reasons {
    ($($constant:ident = $name:literal on [$($place:ident $(($($kind:ident),+))?),+]:
        $says:literal, $action:literal;)+) => {
        $(
            #[doc = $says]
            pub const $constant: &str = $name;
        )+

        /// Every reason.
        pub const ALL: &[Reason] = &[$(Reason {
            name: $name,
            places: &[$(Place { condition: $place, kinds: &[$($(stringify!($kind)),+)?] }),+],
            says: $says,
            action: $action,
        }),+];
    };
}

reasons! {
    // Whether a policy can be enforced.
    RESOLVED = "Resolved" on [ACCEPTED]:
        "Everything the policy names was found and fits.",
        "";
    MODEL_NOT_FOUND = "ModelNotFound" on [ACCEPTED, READY(PersonaVector), COMPLETE]:
        "The named PersonaModel does not exist.",
        "Create it, or correct `spec.model`.";
    VECTOR_NOT_FOUND = "VectorNotFound" on [ACCEPTED, COMPLETE]:
        "A named PersonaVector does not exist.",
        "Create it, or correct `spec.traits` (`spec.vectors` of a DatasetScreen).";
    VECTOR_NOT_READY = "VectorNotReady" on [ACCEPTED, COMPLETE]:
        "A named PersonaVector is not ready.",
        "`kubectl describe personavector`: its own condition says why.";
    MODEL_MISMATCH = "ModelMismatch" on [ACCEPTED, READY(PersonaVector)]:
        "A vector was made for another model, by name or by the digest of the weights.",
        "Extract it again, from the model that is served.";
    LAYER_MISSING = "LayerMissing" on [ACCEPTED, READY(PersonaVector)]:
        "The vector file does not have the layer.",
        "Correct the layer, or leave `spec.layer` out to use the best one.";
    CALIBRATION_MISSING = "CalibrationMissing" on [ACCEPTED]:
        "A threshold in `quantile` or `sigma` has no calibration, of the vector or of the traffic, \
         that supports it.",
        "Give `projection`, or calibrate on more responses (`mode: Audit` with `calibration.from: \
         Traffic`).";
    DUPLICATE_VECTOR = "DuplicateVector" on [ACCEPTED]:
        "The policy names a vector twice.",
        "Keep one entry.";
    THRESHOLD_INVALID = "ThresholdInvalid" on [ACCEPTED]:
        "A threshold is missing, ambiguous or an empty range, or the evidence can never be met.",
        "Give exactly one of `quantile`, `sigma`, `projection` and `range`; see the message.";
    ACTION_INCOMPLETE = "ActionIncomplete" on [ACCEPTED]:
        "A trait lacks what its action needs, or has a field of another action.",
        "See the message and `kubectl explain personapolicy.spec.traits`.";
    SAMPLING_INVALID = "SamplingInvalid" on [ACCEPTED]:
        "A policy that enforces is sampled, or the sampling is not valid.",
        "Leave `sampling` out, or audit only.";
    CONFIG_TOO_LARGE = "ConfigTooLarge" on [ACCEPTED, COMPLETE]:
        "The vectors and policies do not fit into a ConfigMap.",
        "Use fewer vectors of that model in the namespace, or in the DatasetScreen.";
    SELECTOR_INVALID = "SelectorInvalid" on [ACCEPTED]:
        "The selector does not parse.",
        "Use the operators In, NotIn, Exists and DoesNotExist.";
    NAMESPACE_EXCLUDED = "NamespaceExcluded" on [ACCEPTED]:
        "Sidecars are never injected in this namespace.",
        "Move the workload, or remove the label `personaguard.dev/injection` from the namespace.";
    STEERING_CONFLICT = "SteeringConflict" on [ACCEPTED]:
        "An older policy steers the same pods along the same vector differently, or caps them so \
         that no room is left.",
        "Make the policies agree, or let their selectors exclude each other. The older one stays \
         in force.";
    PLACEMENT_CONFLICT = "PlacementConflict" on [ACCEPTED]:
        "An older policy for the same model in this namespace has another placement or port.",
        "Use the same, or another namespace.";
    PLACEMENT_INVALID = "PlacementInvalid" on [ACCEPTED]:
        "The policy's placement lacks a port or has one too many, does not go with the model's \
         `engine`, or, in placement Proxy, with an action that changes activations.",
        "Do what the message says: `spec.port`, another action, or another placement.";

    // Whether it is enforced.
    ACKNOWLEDGED = "Acknowledged" on [GUARDED]:
        "Every selected pod enforces this generation.",
        "";
    AWAITING_ACKNOWLEDGEMENT = "AwaitingAcknowledgement" on [GUARDED]:
        "Some pods have not acknowledged this generation yet.",
        "Wait some seconds; then see what the message says was found.";
    FORMER_WEIGHTS = "FormerWeights" on [GUARDED]:
        "Some pods were made for former weights of the model, keep these loaded, and enforce an \
         earlier generation.",
        "`kubectl rollout restart` their workload.";
    POD_NOT_SCHEDULED = "PodNotScheduled" on [GUARDED]:
        "A selected pod has no node yet.",
        "The message has the scheduler's own; a sidecar's resources are `runtime.resources` of the \
         PersonaModel.";
    SIDECAR_IMAGE_UNAVAILABLE = "SidecarImageUnavailable" on [GUARDED]:
        "The kubelet cannot pull the sidecar's image.",
        "Correct `sidecar.image` of the chart, or give the pod's ServiceAccount \
         `imagePullSecrets`.";
    SIDECAR_NOT_STARTED = "SidecarNotStarted" on [GUARDED]:
        "The sidecar's container waits, cannot be started, or ended.",
        "The message has the kubelet's own; `kubectl describe pod` has its Events.";
    PODS_NOT_CREATED = "PodsNotCreated" on [GUARDED]:
        "A workload whose pods the policy selects cannot create them: a quota, or admission.",
        "The message has the API server's own. With a quota, give `runtime.resources` to the \
         PersonaModel.";
    PORT_CONFLICT = "PortConflict" on [GUARDED]:
        "The app declares a port that the sidecar listens on.",
        "Give the app another port than 8790 and 8791.";
    CONTAINER_NOT_JOINED = "ContainerNotJoined" on [GUARDED]:
        "Placement Engine: a container has a mount of its own where the plugin is to be, or takes \
         `PYTHONPATH` from elsewhere, so nothing was injected into its pod.",
        "Do what the message says, then create the pod anew.";
    PODS_WITHOUT_SIDECAR = "PodsWithoutSidecar" on [GUARDED]:
        "Some selected pods have no sidecar: they are older than the policy, exempt, or have \
         another container of its name.",
        "`kubectl rollout restart` their workload.";
    NO_PODS = "NoPods" on [GUARDED]:
        "Status Unknown: the selector matches no pod.",
        "Correct the selector, or create the pods.";
    MODEL_CONFLICT = "ModelConflict" on [GUARDED]:
        "A selected pod has the sidecar of another model, as policies of two models select it.",
        "Narrow a selector, as a pod has one sidecar; then restart the pod.";
    REFUSED_BY_SIDECAR = "RefusedBySidecar" on [GUARDED, READY(PersonaModel)]:
        "A sidecar refuses a trait, its config or the model; everything else stays in force.",
        "The message gives the sidecar's own reason.";
    GUARDING = "Guarding" on [READY(PersonaPolicy)]:
        "The policy is in force in every selected pod.",
        "";
    SERVICE_BYPASSES_SIDECAR = "ServiceBypassesSidecar" on [BYPASS_DETECTED, READY(PersonaPolicy)]:
        "A Service targets the app's port by number, or by another name; or it is headless and has \
         that port.",
        "Give the policy's `spec.port` as the Service's `targetPort`; give a headless one port \
         8790.";
    HOST_PORT_BYPASSES_SIDECAR = "HostPortBypassesSidecar"
        on [BYPASS_DETECTED, READY(PersonaPolicy)]:
        "A port of the node leads to the app's own port.",
        "Remove `hostPort` from the container.";
    FRONT_BYPASSES_SIDECAR = "FrontBypassesSidecar" on [BYPASS_DETECTED, READY(PersonaPolicy)]:
        "A Service leads to another container of the pod, which may pass requests on to the model.",
        "Take over that container's port, or annotate the Service with \
         `personaguard.dev/leads-elsewhere: \"true\"`.";
    CONNECTIONS_BYPASS_SIDECAR = "ConnectionsBypassSidecar" on
        [BYPASS_DETECTED, READY(PersonaPolicy)]:
        "The sidecar saw connections to the app's port that were not its own.",
        "Let all clients use the sidecar's port; a NetworkPolicy keeps them to it.";
    APP_USES_ANOTHER_SERVER = "AppUsesAnotherServer" on [BYPASS_DETECTED, READY(PersonaPolicy)]:
        "In placement Serve, a container is told of another server, by `OPENAI_BASE_URL`, a \
         variable like it (`OPENAI_API_BASE`, `ANTHROPIC_BASE_URL` …) or a flag.",
        "Remove that, or name the containers that are to be guarded in the pod's \
         annotation `personaguard.dev/containers`.";
    SIDECAR_UNUSED = "SidecarUnused" on [BYPASS_DETECTED, READY(PersonaPolicy)]:
        "In placement Serve, an app is used, and its sidecar has had no request.",
        "Let the app use the server at `OPENAI_BASE_URL`.";
    NO_BYPASS = "NoBypass" on [BYPASS_DETECTED]:
        "No way past the sidecar was found.",
        "";

    // What was measured.
    THRESHOLD_PASSED = "ThresholdPassed" on [TRAIT_BREACHED]:
        "A score passed its threshold within the recovery time.",
        "See the [runbook](runbooks.md#personaguardtraitbreached).";
    WITHIN_THRESHOLDS = "WithinThresholds" on [TRAIT_BREACHED]:
        "No score passed its threshold within the recovery time.",
        "";
    COLLECTING = "Collecting" on [IS_CALIBRATED]:
        "More responses are needed; the message says how many of them there are.",
        "Wait, in `mode: Audit`.";
    CALIBRATED = "Calibrated" on [IS_CALIBRATED]:
        "Enough responses were collected.",
        "Look at `status.calibrations`, then set `mode: Enforce`.";
    SCORES_MOVED = "ScoresMoved" on [DRIFT_DETECTED]:
        "A control chart of a trait passed its limit, and has not come back far enough.",
        "See the [runbook](runbooks.md#personaguardtraitdrift).";
    SCORES_STEADY = "ScoresSteady" on [DRIFT_DETECTED]:
        "Every control chart is within its limits.",
        "";
    ALL_PODS_REPORT = "AllPodsReport" on [REPORTING]:
        "Every guarded pod reports.",
        "";
    PODS_SILENT = "PodsSilent" on [REPORTING]:
        "Some guarded pods have not reported recently.",
        "See the [runbook](runbooks.md#personaguardsidecarsilent).";
    REPORTS_CONTESTED = "ReportsContested" on [REPORTING]:
        "Two processes report for one pod. The one that is within the pod is believed, or the \
         first where that cannot be seen.",
        "Delete the pod, and see who may create tokens for its ServiceAccount.";

    LOGS_CONTINUOUS = "LogsContinuous" on [AUDIT_LOG_INTACT]:
        "Every audit log has only grown.",
        "";
    LOG_CUT = "LogCut" on [AUDIT_LOG_INTACT, EVENT]:
        "The audit log of a pod went back behind a line that its sidecar had reported: lines \
         were removed or replaced.",
        "Keep what is there, and find out who could write to the pod's volume. The condition \
         stays until the pod is replaced.";
    LOG_GAP = "LogGap" on [AUDIT_LOG_INTACT, EVENT]:
        "A start of a sidecar found its audit log cut, damaged or torn. What was there is kept, \
         and an entry says so.",
        "`personaguard audit verify` in the pod says what is missing. The condition stays until \
         the entry is rotated away, or the pod is replaced.";

    // Vectors.
    EXTRACTING = "Extracting" on [READY(PersonaVector)]:
        "A Job is extracting the vector.",
        "Wait; the column PROGRESS shows how far it is.";
    EXTRACTED = "Extracted" on [READY(PersonaVector)]:
        "A Job has extracted the vector, and it fits.",
        "";
    EXTRACTION_FAILED = "ExtractionFailed" on [READY(PersonaVector)]:
        "The extraction Job failed.",
        "Read its log; delete the Job to try again.";
    IMPORTED = "Imported" on [READY(PersonaVector)]:
        "The vector file was read and verified, and it fits.",
        "";
    ARTIFACT_NOT_FOUND = "ArtifactNotFound" on [READY(PersonaVector)]:
        "The ConfigMap of the vector file, or its key, does not exist.",
        "Create it, or correct `spec.artifact`.";
    ARTIFACT_INVALID = "ArtifactInvalid" on [READY(PersonaVector), COMPLETE]:
        "The vector file cannot be read, or is for another trait.",
        "Extract it, or import it again.";
    DIGEST_MISMATCH = "DigestMismatch" on [READY(PersonaVector, PersonaModel)]:
        "The SHA-256 of the file, or of the weights that the model server has loaded, is not the \
         expected one, or is not known.",
        "Correct the file or `spec.sha256`; the message has what is known.";
    NOT_DISCRIMINATIVE = "NotDiscriminative" on [READY(PersonaVector), ACCEPTED]:
        "The vector separates held-out answers no better than vectors made from permuted labels.",
        "Extract it with more rollouts or from a larger model, or set \
         `spec.allowNotDiscriminative: true`.";
    MODEL_RUN_BY_VLLM = "ModelRunByVllm" on [READY(PersonaVector), COMPLETE]:
        "The model has engine Vllm and does not say how Jobs start vLLM, so none has its weights.",
        "Add `spec.vllm` to the PersonaModel: see \
         [vectors made by your vLLM](vllm.md#vectors-made-by-your-vllm). Or make the vector with \
         `personaguard extract --engine`, and import it (`spec.artifact`); screen with \
         `personaguard screen --engine`.";
    STEERING_MONOTONIC = "SteeringMonotonic" on [STEERS]:
        "Held-out answers move along the trait with every step of the coefficient.",
        "";
    DOES_NOT_STEER = "DoesNotSteer" on [STEERS, READY(PersonaVector), ACCEPTED]:
        "At some step of the coefficient (`status.steering`), held-out answers do not move along \
         the trait. Policies can measure by the vector, but not steer, cap or regenerate.",
        "Extract it with more rollouts or from a larger model, or set `spec.allowNotSteering: \
         true`.";
    STEERING_NOT_MEASURED = "SteeringNotMeasured" on [STEERS]:
        "Status Unknown: the file has no steering measurements for this layer.",
        "Extract the vector, or leave `spec.layer` out.";

    // Models.
    SERVED = "Served" on [READY(PersonaModel)]:
        "A sidecar has loaded the model and serves it.",
        "";
    NOT_SERVED_YET = "NotServedYet" on [READY(PersonaModel)]:
        "Status Unknown: no sidecar has reported the model yet.",
        "Start a guarded pod.";
    WEIGHTS_NOT_FOUND = "WeightsNotFound" on [READY(PersonaModel)]:
        "The weight file is not where the model says.",
        "Correct `spec.source`.";
    WEIGHTS_INVALID = "WeightsInvalid" on [READY(PersonaModel)]:
        "A sidecar cannot read the weights.",
        "Replace the file.";
    FETCHING_WEIGHTS = "FetchingWeights" on [READY(PersonaModel)]:
        "Status Unknown: a sidecar fetches the weights from the model hub; the message says how \
         far it is.",
        "Wait.";
    WEIGHTS_NOT_FETCHED = "WeightsNotFetched" on [READY(PersonaModel)]:
        "A sidecar cannot fetch the weights from the model hub. It tries again.",
        "The message says what to do; see [weights](weights.md#from-a-model-hub).";
    MODEL_UNSUPPORTED = "ModelUnsupported" on [READY(PersonaModel)]:
        "The architecture of the model, or one of its settings, is not supported.",
        "See [weights](operations.md#weights).";
    ENGINE_NOT_CONNECTED = "EngineNotConnected" on [GUARDED, READY(PersonaModel)]:
        "Placement Engine: the plugin in the model server has not connected to the sidecar, or has \
         not acknowledged the vectors.",
        "Wait while the model server loads; then see its log. A script that starts it must pass \
         `PYTHONPATH`, `PERSONAGUARD_SOCKET` and `VLLM_PLUGINS` on: see \
         [the plugin](vllm.md#when-the-plugin-does-not-connect).";
    PLUGIN_REFUSES = "PluginRefuses" on
        [GUARDED, READY(PersonaPolicy, PersonaVector), COMPLETE]:
        "The model server of placement Engine, or the vLLM of a Job, ended with exit code 78, by \
         which the plugin refuses what it cannot measure.",
        "Its log says in a sentence why: its version, an option such as speculative decoding, or a \
         model that the plugin does not know.";
    MADE_OTHERWISE = "MadeOtherwise" on [CALIBRATION_STALE]:
        "A vector of the policy was made on the same weights, served in another way than now: with \
         other numbers, another quantisation, without the adapter, or by another version. What it \
         scores may be off from its calibration. It is enforced all the same.",
        "Make the vector again on what is served, or serve what it was made on: the message has \
         both. See [when vLLM changes](vllm.md#when-vllm-changes).";
    AS_MADE = "AsMade" on [CALIBRATION_STALE]:
        "No sidecar serves otherwise than the vectors were made on.",
        "";
    ENGINE_REFUSES = "EngineRefuses" on [GUARDED, READY(PersonaModel)]:
        "Placement Engine: the plugin in the model server cannot measure what the policies ask \
         for.",
        "Do what the message says: fewer layers or traits, or the plugin's own settings.";

    // Data sets.
    SCREENING = "Screening" on [COMPLETE]:
        "Jobs are screening the data set.",
        "Wait; the column SHARDS shows how far they are.";
    SCREENED = "Screened" on [COMPLETE]:
        "The ranks are where `spec.output` says.",
        "";
    SCREENING_FAILED = "ScreeningFailed" on [COMPLETE]:
        "A screening Job failed.",
        "Read its log, then create another DatasetScreen.";

    // The operator.
    UNREADABLE = "Unreadable" on [ACCEPTED, GUARDED, BYPASS_DETECTED, READY, COMPLETE,
     REPORTING, EVENT, METRIC]:
        "The object, or one that it depends on, cannot be read by this operator, as one of a \
         newer version cannot. Everything of its scope stays as it is.",
        "Upgrade the operator to the version of the kinds, or correct the object; see the message.";
    WRITE_REFUSED = "WriteRefused" on [READY(PersonaPolicy, PersonaVector), COMPLETE, EVENT,
     METRIC]:
        "The API server refuses to write an object that is needed (a quota, an admission \
         webhook, a missing right); the message names it. It is tried again.",
        "Remove what refuses it.";
    WITHDRAWN = "Withdrawn" on [EVENT]:
        "A deleted policy was withdrawn from the sidecars.",
        "";
    API_ERROR = "ApiError" on [METRIC]:
        "A call to the API server failed; it is retried.",
        "Read the operator's log if it persists.";
}
