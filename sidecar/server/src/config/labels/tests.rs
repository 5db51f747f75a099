use super::*;

#[test]
fn lines_of_the_downward_api_are_read() {
    assert_eq!(parse(r#"app="chat""#), Some(("app".into(), "chat".into())));
    assert_eq!(parse(r#"a.b/c="""#), Some(("a.b/c".into(), String::new())));
    for wrong in ["app", "app=chat", r#"="x""#, r#"app="a"b""#] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
}
