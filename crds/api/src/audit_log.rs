//! What the cluster remembers of a pod's audit log: an anchor outside the pod.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_terms::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the audit log of a pod stood when its sidecar last reported. `SEQUENCE:HASH` is an anchor
/// for `personaguard audit verify --head`.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLogStatus {
    /// Number of the last line.
    pub sequence: u64,
    /// Hash of the last line.
    #[schemars(with = "String")]
    // the rule of a digest would cost too much in an unbounded list
    pub hash: Digest,
    /// Gaps that the log itself tells of: starts that found it cut, damaged or torn.
    #[serde(default)]
    pub gaps: u64,
    /// The last time that the log went back behind what it had been. Stays for as long as the pod
    /// exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<AuditLogCut>,
}

/// A log that went back.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLogCut {
    /// When it was noticed.
    pub at: Time,
    /// The last line that had been reported.
    pub expected: AuditLogHead,
    /// The last line that was reported then.
    pub found: AuditLogHead,
}

/// A line of an audit log.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLogHead {
    /// Number of the line.
    pub sequence: u64,
    /// Hash of the line.
    #[schemars(with = "String")]
    pub hash: Digest,
}
