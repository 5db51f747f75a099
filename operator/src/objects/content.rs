//! Whether a ConfigMap holds what it should. Pure.

use k8s_openapi::api::core::v1::ConfigMap;

/// Whether it holds that and nothing else, and can be changed.
pub(crate) fn same_content(stored: &ConfigMap, desired: &ConfigMap) -> bool {
    stored.immutable != Some(true)
        && stored.data == desired.data
        && stored.binary_data == desired.binary_data
}
