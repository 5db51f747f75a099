use super::*;

const CALM: Look = Look { used: Some(0.5), busy: true, kv_bytes: 800, context_bytes: 100 };

#[test]
fn number_22_memory_is_given_back_under_pressure_and_after_idle_minutes() {
    let mut watch = Watch::default();
    assert_eq!(watch.next(CALM), None);
    assert_eq!(watch.next(Look { used: Some(0.95), ..CALM }), Some(400));
    assert_eq!(watch.next(Look { used: Some(0.95), kv_bytes: 0, ..CALM }), None, "nothing is left");
    assert_eq!(watch.next(Look { used: None, ..CALM }), None);
    let idle = Look { busy: false, ..CALM };
    let looks = IDLE.as_secs() / LOOK.as_secs();
    for _ in 1..looks {
        assert_eq!(watch.next(idle), None);
    }
    assert_eq!(watch.next(idle), Some(100));
    assert_eq!(watch.next(Look { kv_bytes: 100, ..idle }), None, "it is small already");
    assert_eq!(watch.next(CALM), None);
    assert_eq!(watch.next(idle), None, "the minutes begin anew");
}
