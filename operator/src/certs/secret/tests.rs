use super::*;
use crate::certs::rotation::{Schedule, rotate};
use jiff::{SignedDuration, Timestamp};

#[test]
fn the_secret_reads_back_as_it_was_written() {
    let hosts = ["a.svc".to_owned()];
    let start = Timestamp::from_second(1_700_000_000).unwrap();
    let schedule = Schedule {
        authority: SignedDuration::from_hours(90),
        serving: SignedDuration::from_hours(30),
        overlap: SignedDuration::from_hours(10),
    };
    let mut certificates = rotate(None, &hosts, schedule, start).unwrap();
    for hour in [61, 72, 73] {
        let now = start + SignedDuration::from_hours(hour);
        certificates = rotate(Some(certificates), &hosts, schedule, now).unwrap();
        let read_back = read(&write(&certificates, None));
        assert_eq!(read_back.as_ref(), Some(&certificates), "hour {hour}");
    }
    assert_eq!(certificates.former.len(), 1);
}
