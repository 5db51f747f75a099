use super::*;

#[test]
fn the_oldest_that_waits_gives_way_and_one_that_is_answered_never() {
    let limiter = ConnectionLimiter::new(3);
    let guards: Vec<_> = (0..3).map(|_| limiter.admit().unwrap()).collect();
    guards[0].enter(Phase::Answering);
    guards[1].enter(Phase::Idle);
    let fourth = limiter.admit().unwrap();
    assert!(guards[2].evict.is_cancelled(), "the one that has never sent a request");
    fourth.enter(Phase::Answering);
    let fifth = limiter.admit().unwrap();
    assert!(guards[1].evict.is_cancelled() && !guards[0].evict.is_cancelled());
    fifth.enter(Phase::Answering);
    assert!(limiter.admit().is_none());
    drop(fourth);
    assert!(limiter.admit().is_some());
}
