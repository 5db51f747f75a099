use super::*;

#[test]
fn report_names_fit_an_object_and_differ() {
    assert_eq!(report("Deployment", "chat"), "deployment-chat");
    let (a, b) = (
        report("Deployment", &"a".repeat(253)),
        report("Deployment", &format!("{}b", "a".repeat(252))),
    );
    assert_eq!(a.len(), 253);
    assert_ne!(a, b);
    assert_eq!(for_extraction("evil"), "extract-evil");
    assert_eq!(for_extraction(&"a".repeat(63)).len(), 52);
}
