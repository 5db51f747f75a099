use super::*;
use proptest::prelude::*;

#[tokio::test]
async fn number_22_the_oldest_body_on_its_way_gives_way_and_a_complete_one_never() {
    let budget = BodyBudget::new(100);
    let mut complete = budget.guard();
    complete.grow(40).await.unwrap();
    assert!(complete.keep());
    let mut oldest = budget.guard();
    oldest.grow(30).await.unwrap();
    let mut newer = budget.guard();
    newer.grow(30).await.unwrap();
    let arriving = tokio::spawn(async move {
        let mut guard = budget.guard();
        guard.grow(20).await.map(|()| guard)
    });
    oldest.evicted().await;
    drop(oldest);
    let arrived = arriving.await.unwrap().unwrap();
    assert!(newer.keep(), "one was enough");
    assert_eq!(budget.used(), 90);
    // Nothing is left that could give way.
    assert!(arrived.keep());
    assert_eq!(budget.guard().grow(20).await, Err(NoRoom));
    newer.shrink(25);
    budget.guard().grow(20).await.unwrap();
    assert_eq!(budget.guard().grow(101).await, Err(NoRoom), "more than there is at all");
    drop((complete, newer, arrived));
    assert_eq!(budget.used(), 0);
}

proptest! {
    #[test]
    fn number_22_bodies_never_take_more_than_the_budget(
        limit in 1..2000_usize,
        work in prop::collection::vec((0..12_usize, 0..700_usize, 0..4_u8), 1..120),
    ) {
        let budget = BodyBudget::new(limit);
        let mut guards: Vec<BodyGuard> = Vec::new();
        for (which, bytes, what) in work {
            let index = which % (guards.len() + 1);
            match guards.get_mut(index) {
                None => guards.push(budget.guard()),
                Some(guard) => match what {
                    0 => drop(guards.swap_remove(index)),
                    1 => guard.shrink(bytes),
                    2 => _ = guard.keep(),
                    _ => _ = guard.try_grow(bytes),
                },
            }
            let held: usize = guards.iter().map(BodyGuard::bytes).sum();
            prop_assert!(budget.used() == held && held <= limit, "{} of {}", held, limit);
        }
        drop(guards);
        prop_assert_eq!(budget.used(), 0);
    }
}
