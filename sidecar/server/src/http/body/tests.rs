use super::*;
use std::convert::Infallible;

const PATIENCE: Patience = Patience::Whole(Duration::from_secs(30));
const BODY: usize = 1 << 20;

/// 2,048 clients that each send all but a byte of the largest body, and wait.
#[tokio::test]
async fn number_22_half_sent_bodies_take_no_more_than_the_budget_and_stop_nobody() {
    let budget = BodyBudget::new(16 << 20);
    let sent = Bytes::from(vec![b'x'; BODY - 1]);
    let half = || {
        let sent = stream::iter([Ok::<_, Infallible>(sent.clone())]);
        Body::from_stream(sent.chain(stream::pending()))
    };
    let waiting: Vec<_> =
        (0..2048).map(|_| tokio::spawn(collect(half(), BODY, PATIENCE, budget))).collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(budget.used() <= budget.limit());
    }
    // One that sends everything is read.
    let whole = collect(Body::from(vec![b'y'; BODY]), BODY, PATIENCE, budget).await;
    let Ok(Received::Whole(bytes)) = whole else { panic!("refused") };
    assert_eq!(bytes.len(), BODY);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let gave_way = waiting.iter().filter(|task| task.is_finished()).count();
    assert!(gave_way >= 2048 - 16, "{gave_way} gave way");
    let before = budget.used();
    let part = bytes.slice(..1);
    drop(bytes);
    assert_eq!(budget.used(), before, "a part of it is still held");
    drop(part);
    assert_eq!(budget.used(), before - BODY);
}
