use super::*;

#[test]
fn item_19_levels_that_are_not_understood_are_told_and_leave_the_default() {
    for (levels, shown, complaint) in [
        (None, "info", None),
        (Some(""), "info", None),
        (Some(" "), "info", None),
        (Some("debug"), "debug", None),
        (Some("WARN"), "warn", None),
        (Some("info,personaguard=trace"), "personaguard=trace,info", None),
        (Some("personaguard_server=debug"), "personaguard_server=debug", None),
        (Some("nonsense=loud"), "info", Some("not understood")),
        (Some("warning"), "warning=trace,info", Some("`warning` is none of")),
        (Some("hyper,kube=debug"), "hyper=trace,kube=debug,info", Some("`hyper` is none of")),
        (Some("hyper,debug"), "hyper=trace,debug", None),
    ] {
        let (filter, told) = read(levels);
        assert_eq!(filter.to_string(), shown, "{levels:?}");
        assert_eq!(told.is_some(), complaint.is_some(), "{levels:?}: {told:?}");
        assert!(complaint.is_none_or(|words| told.unwrap_or_default().contains(words)));
    }
}
