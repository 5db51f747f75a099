use super::*;
use proptest::prelude::*;

#[tokio::test]
async fn number_22_the_oldest_body_on_its_way_gives_way_and_a_complete_one_never() {
    let budget = BodyBudget::new(100);
    let arrived = |bytes: usize| {
        let mut body = budget.arrival();
        body.push(&vec![b'x'; bytes]).map(|()| body)
    };
    let (complete, guard) = arrived(40).unwrap().finish().unwrap();
    assert_eq!((complete.len(), guard.bytes()), (40, 40));
    let (mut oldest, newer) = (arrived(30).unwrap(), arrived(30).unwrap());
    let newest = arrived(20).unwrap();
    oldest.evicted().await;
    assert_eq!((oldest.push(b"x"), oldest.length(), budget.used()), (Err(NoRoom), 0, 90));
    assert!(oldest.finish().is_err());
    assert_eq!(newer.length(), 30, "one was enough");
    // What cannot be had is not taken from anybody.
    assert!(arrived(61).is_err() && newer.length() == 30 && newest.length() == 20);
    let mut held = budget.guard();
    held.grow(50).unwrap();
    assert_eq!((newer.length(), newest.length(), budget.used()), (0, 0, 90));
    held.shrink(45);
    assert_eq!(budget.used(), 45);
    drop((held, guard, newer, newest));
    assert_eq!(budget.used(), 0);
}

/// What may be held at a time.
enum Held {
    Arriving(ArrivingBody),
    Complete(BodyGuard),
}

proptest! {
    #[test]
    fn number_22_bodies_never_take_more_than_the_budget(
        limit in 1..2000_usize,
        work in prop::collection::vec((0..12_usize, 0..700_usize, 0..4_u8), 1..120),
    ) {
        let budget = BodyBudget::new(limit);
        let mut bodies: Vec<Held> = Vec::new();
        for (which, bytes, what) in work {
            let index = which % (bodies.len() + 1);
            match (bodies.get_mut(index), what) {
                (None, _) => bodies.push(Held::Arriving(budget.arrival())),
                (Some(_), 0) => drop(bodies.swap_remove(index)),
                (Some(Held::Arriving(body)), 1 | 2) => _ = body.push(&vec![0; bytes]),
                (Some(Held::Arriving(_)), _) => {
                    let Held::Arriving(body) = bodies.swap_remove(index) else { unreachable!() };
                    if let Ok((_, guard)) = body.finish() {
                        bodies.push(Held::Complete(guard));
                    }
                }
                (Some(Held::Complete(guard)), 1) => guard.shrink(bytes),
                (Some(Held::Complete(guard)), _) => _ = guard.grow(bytes),
            }
            let arriving: usize =
                budget.lock().arriving.values().map(|body| body.bytes.capacity()).sum();
            let complete = bodies.iter().map(|body| match body {
                Held::Complete(guard) => guard.bytes(),
                Held::Arriving(_) => 0,
            });
            let held = arriving + complete.sum::<usize>();
            prop_assert!(budget.used() == held && held <= limit, "{} of {}", held, limit);
        }
        drop(bodies);
        prop_assert_eq!(budget.used(), 0);
    }
}
