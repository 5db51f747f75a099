use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use kube::core::{Selector as KubeSelector, SelectorExt};

#[test]
fn pods_are_selected_as_kubernetes_selects_them() {
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let operators = ["In", "NotIn", "Exists", "DoesNotExist", "Near", ""];
    let values =
        [None, Some(vec![]), Some(vec!["a".to_owned()]), Some(vec!["a".into(), "b".into()])];
    let fixed = [None, Some(labels(&[])), Some(labels(&[("app", "chat")]))];
    let pods = [
        labels(&[]),
        labels(&[("app", "chat")]),
        labels(&[("app", "chat"), ("tier", "a")]),
        labels(&[("tier", "c")]),
    ];
    for (operator, values) in operators.iter().flat_map(|o| values.iter().map(move |v| (*o, v))) {
        for match_labels in &fixed {
            let selector = LabelSelector {
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: "tier".to_owned(),
                    operator: operator.to_owned(),
                    values: values.clone(),
                }]),
                match_labels: match_labels.clone(),
            };
            let expected = KubeSelector::try_from(selector.clone());
            for pod in &pods {
                let expected = expected.as_ref().is_ok_and(|selector| selector.matches(pod));
                assert_eq!(selects(&selector, pod), expected, "{selector:?} {pod:?}");
            }
        }
    }
    assert!(pods.iter().all(|pod| selects(&LabelSelector::default(), pod)));
}
