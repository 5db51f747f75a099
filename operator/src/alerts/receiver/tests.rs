use super::*;
use crate::fixtures::settings;

#[test]
fn without_a_url_there_is_no_receiver() {
    assert!(Receiver::from_settings(&settings(&[])).is_empty());
    assert!(Receiver::from_settings(&settings(&["--alertmanager-url="])).is_empty());
    let both = settings(&[
        "--alertmanager-url=http://a:9093/",
        "--alert-webhook-url=http://b/hook",
        "--alert-webhook-secret-file=/secret",
    ]);
    assert_eq!(Receiver::from_settings(&both).len(), 2);
}
