//! Requests that come twice.

use platform::database;
use platform::idempotency::{self, Answer, Begun, Request};
use serde_json::{Map, json};

use crate::world::{Person, invalid, world};

fn request<'a>(person: &Person, key: &'a str, body: u8) -> Request<'a> {
    Request { principal: person.user, key, method: "POST", path: "/api/sites", body_hash: [body; 32] }
}

#[tokio::test]
async fn an_answer_is_given_again_and_work_is_done_once() {
    let world = world("idempotency").await;
    let (trader, admin, other) = (&world.a.trader, &world.a.admin, &world.b.trader);
    let begin = async |person: &Person, request: Request<'_>, life_s: f64| {
        world.run(&person.actor(), async |t| idempotency::begin(t, &request, life_s).await).await
    };
    let answer =
        || Answer { status: 201, headers: Map::from_iter([("etag".to_owned(), json!("\"1\""))]), body: b"{}".to_vec() };
    assert_eq!(begin(trader, request(trader, "k", 1), 60.0).await.unwrap(), Begun::New);
    assert_eq!(begin(trader, request(trader, "k", 1), 60.0).await.unwrap(), Begun::InProgress);
    // Keys are a caller's own.
    assert_eq!(begin(admin, request(admin, "k", 1), 60.0).await.unwrap(), Begun::New);
    assert_eq!(begin(other, request(other, "k", 1), 60.0).await.unwrap(), Begun::New);
    let finish = async |request: Request<'_>, answer: Answer| {
        world.run(&trader.actor(), async |t| idempotency::finish(t, &request, &answer).await).await.unwrap()
    };
    assert!(finish(request(trader, "k", 1), answer()).await);
    assert_eq!(begin(trader, request(trader, "k", 1), 60.0).await.unwrap(), Begun::Replay(answer()));
    assert!(!finish(request(trader, "k", 1), answer()).await, "an answer stands");
    assert_eq!(begin(trader, request(trader, "k", 2), 60.0).await.unwrap(), Begun::Mismatch);
    let elsewhere = Request { path: "/api/assets", ..request(trader, "k", 1) };
    assert_eq!(begin(trader, elsewhere, 60.0).await.unwrap(), Begun::Mismatch);
    let otherwise = Request { method: "PUT", ..request(trader, "k", 1) };
    assert_eq!(begin(trader, otherwise, 60.0).await.unwrap(), Begun::Mismatch);
    // One that is over is free, and so is one that was given back, or whose answer is too large.
    assert_eq!(begin(trader, request(trader, "short", 1), 0.0).await.unwrap(), Begun::New);
    assert_eq!(begin(trader, request(trader, "short", 2), 60.0).await.unwrap(), Begun::New);
    world.run(&trader.actor(), async |t| idempotency::abandon(t, &request(trader, "short", 2)).await).await.unwrap();
    assert_eq!(begin(trader, request(trader, "short", 3), 60.0).await.unwrap(), Begun::New);
    let large = Answer { body: vec![b'x'; idempotency::MOST_BYTES + 1], ..answer() };
    assert!(!finish(request(trader, "short", 3), large).await);
    assert_eq!(begin(trader, request(trader, "short", 4), 60.0).await.unwrap(), Begun::New);
    for key in ["", " ", "a\nb", "ü", &"x".repeat(256)] {
        assert_eq!(invalid(begin(trader, request(trader, key, 1), 60.0).await)[0].1, "invalid_key");
    }
}

#[tokio::test]
async fn while_one_is_at_work_the_other_is_told_so_and_does_not_wait() {
    let world = world("in_progress").await;
    let trader = &world.a.trader;
    let (mut one, mut two) = (world.database.client().await.unwrap(), world.database.client().await.unwrap());
    let first = database::begin(&mut one, &trader.actor()).await.unwrap();
    assert_eq!(idempotency::begin(&first, &request(trader, "k", 1), 60.0).await.unwrap(), Begun::New);
    let second = database::begin(&mut two, &trader.actor()).await.unwrap();
    assert_eq!(idempotency::begin(&second, &request(trader, "k", 1), 60.0).await.unwrap(), Begun::InProgress);
    second.rollback().await.unwrap();
    // Rolled back: as if it had never come.
    first.rollback().await.unwrap();
    let third = database::begin(&mut two, &trader.actor()).await.unwrap();
    assert_eq!(idempotency::begin(&third, &request(trader, "k", 1), 60.0).await.unwrap(), Begun::New);
}
