//! Every metric name, in one place. Counters are listed as they are scraped, with `_total`.

/// Metrics of the sidecar.
pub mod sidecar {
    /// Counter {outcome: stop, length, content_filter, error, cancelled, rejected}: responses that
    /// ended.
    pub const RESPONSES: &str = "personaguard_responses_total";
    /// Histogram, seconds, no labels: from request to the first token that left.
    pub const TIME_TO_FIRST_TOKEN: &str = "personaguard_time_to_first_token_seconds";
    /// Histogram, seconds: from request to end.
    pub const RESPONSE_DURATION: &str = "personaguard_response_duration_seconds";
    /// Counter {kind: prompt, completion}: tokens.
    pub const TOKENS: &str = "personaguard_tokens_total";
    /// Histogram {policy, trait}: scores of responses, in units of the model's activations.
    pub const TRAIT_SCORE: &str = "personaguard_trait_score";
    /// Histogram {policy, trait, section: reasoning, answer}: of responses that have reasoning, the
    /// mean over each section, whichever score counts.
    pub const TRAIT_SECTION_SCORE: &str = "personaguard_trait_section_score";
    /// Gauge {policy, trait, bound: min, max}: thresholds in force.
    pub const TRAIT_THRESHOLD: &str = "personaguard_trait_threshold";
    /// Counter {policy, trait, action, mode}: responses past the threshold. The action is the
    /// policy's, and in mode `Audit` it was not taken. Starts at 0 when the policy is applied.
    pub const TRAIT_BREACHES: &str = "personaguard_trait_breaches_total";
    /// Counter {reason}: responses that left unscored.
    pub const UNGUARDED: &str = "personaguard_unguarded_responses_total";
    /// Counter {policy}: responses that a policy's sampling left out.
    pub const UNSAMPLED: &str = "personaguard_unsampled_responses_total";
    /// Counter {result: applied, refused}: requests that asked for more than the policies do.
    pub const REQUEST_CONTROLS: &str = "personaguard_request_controls_total";
    /// Counter {result: within, past}: responses that were written anew, by where the one that left
    /// stands.
    pub const REGENERATIONS: &str = "personaguard_regenerated_responses_total";
    /// Counter {coherence: kept, lost, unknown}: steered responses.
    pub const STEERED: &str = "personaguard_steered_responses_total";
    /// Gauge: how far the policies' steering goes, 1 as they say, 0 not at all.
    pub const STEERING_SCALE: &str = "personaguard_steering_scale";
    /// Counter {log: audit, conversations; result: written, lost}: records of the logs on disk.
    pub const LOG_RECORDS: &str = "personaguard_log_records_total";
    /// Gauge {log: audit, conversations}: gaps that a log on disk tells of: starts that found it
    /// cut, damaged or torn.
    pub const LOG_GAPS: &str = "personaguard_log_gaps";
    /// Gauge, bytes: the KV cache in memory, the prefix cache in it included.
    pub const KV_CACHE: &str = "personaguard_kv_cache_bytes";
    /// Gauge, bytes: what the KV cache may take.
    pub const KV_CACHE_LIMIT: &str = "personaguard_kv_cache_limit_bytes";
    /// Gauge {policy}: generation in force.
    pub const POLICY_GENERATION: &str = "personaguard_policy_generation";
    /// Gauge: 1 while the model serves.
    pub const MODEL_READY: &str = "personaguard_model_ready";
    /// Gauge: requests that run.
    pub const REQUESTS_RUNNING: &str = "personaguard_requests_running";
    /// Gauge: requests that wait.
    pub const REQUESTS_WAITING: &str = "personaguard_requests_waiting";
    /// Counter {result: accepted, rejected, failed}: pushes to the operator.
    pub const REPORTS: &str = "personaguard_report_pushes_total";
    /// Gauge {plugin, vllm, runner, dtype, quantization}: 1 while the plugin in the engine is
    /// connected, 0 once it is gone, in placement Engine; no series before it first connected.
    pub const ENGINE_CONNECTED: &str = "personaguard_engine_connected";
    /// Counter {reason: gap, other, too_many, lost}: answers whose rows are not all there, in
    /// placement Engine.
    pub const ENGINE_ROW_FAULTS: &str = "personaguard_engine_row_faults_total";
    /// Counter: requests that reached the engine past the sidecar, in placement Engine.
    pub const ENGINE_FOREIGN: &str = "personaguard_engine_foreign_requests_total";
    /// Counter: messages of the plugin in the engine that were lost, in placement Engine.
    pub const ENGINE_DROPPED: &str = "personaguard_engine_dropped_messages_total";
    /// Gauge {policy, vector}: 1 where the model is served in another way than the vector was made
    /// on; no series where it is not.
    pub const CALIBRATION_STALE: &str = "personaguard_calibration_stale";
    /// Counter {result: applied, rejected}: changes of the config folder.
    pub const CONFIG_RELOADS: &str = "personaguard_config_reloads_total";
}

/// Metrics of the operator.
pub mod operator {
    /// Counter {kind, reason}: reconciliations by what came of them; a condition reason, or
    /// `ApiError`.
    pub const RECONCILIATIONS: &str = "personaguard_operator_reconciliations_total";
    /// Histogram {kind}, seconds.
    pub const RECONCILE_DURATION: &str = "personaguard_operator_reconcile_duration_seconds";
    /// Counter {result: accepted, malformed, unauthenticated, forbidden, gone, contested,
    /// overloaded, not_leader}: report pushes.
    pub const REPORTS: &str = "personaguard_operator_reports_total";
    /// Counter {receiver: alertmanager, webhook; result: delivered, failed, dropped}: alerts that
    /// the operator itself sends.
    pub const ALERTS: &str = "personaguard_operator_alerts_total";
    /// Gauge {kind}: objects that this operator cannot read.
    pub const UNREADABLE_OBJECTS: &str = "personaguard_operator_unreadable_objects";
    /// Counter {kind}: writes that the API server refused.
    pub const REFUSED_WRITES: &str = "personaguard_operator_refused_writes_total";
    /// Gauge: 1 on the leader.
    pub const LEADER: &str = "personaguard_operator_leader";
    /// Gauge {namespace, policy}: 1 while a policy is Ready.
    pub const POLICY_READY: &str = "personaguard_policy_ready";
    /// Gauge {namespace, policy}: pods selected that do not enforce it.
    pub const POLICY_UNGUARDED_PODS: &str = "personaguard_policy_unguarded_pods";
    /// Counter {namespace, workload, policy, trait}: breaches over a workload's whole life; at most
    /// 20,000 series, of further ones see [`SERIES_LEFT_OUT`].
    pub const WORKLOAD_BREACHES: &str = "personaguard_workload_breaches_total";
    /// Counter: observations of workloads and traits that have no series, since there are too many.
    /// Their reports say what these would.
    pub const SERIES_LEFT_OUT: &str = "personaguard_operator_series_left_out_total";
    /// Gauge {namespace, workload}: guarded pods that have not reported of late.
    pub const WORKLOAD_SILENT_PODS: &str = "personaguard_workload_silent_pods";
    /// Gauge {namespace, workload, policy, trait}: 1 while drift is in force, else 0; the series of
    /// [`WORKLOAD_BREACHES`].
    pub const WORKLOAD_DRIFT: &str = "personaguard_workload_drift_detected";
    /// Gauge {namespace, workload}: pods whose audit log lacks lines that it had, or tells of a
    /// gap.
    pub const WORKLOAD_AUDIT_LOG_GAPS: &str = "personaguard_workload_audit_log_gap_pods";
    /// Gauge, seconds since the epoch: end of the report server's certificate.
    pub const CERTIFICATE_EXPIRY: &str =
        "personaguard_operator_certificate_expiry_timestamp_seconds";
}
