//! Limits in memory, and what happens when the shared store is away. `tests/it/limit.rs` asks a real Redis.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_800_000_000_000;

fn keys() -> Keys {
    Keys::new(&seal::Keys::new(&Config::default()).unwrap())
}

fn allowed(memory: &Memory, key: &Key, now_ms: i64) -> bool {
    memory.take(key, Rate::new(5, 900_000), now_ms).is_allowed()
}

#[test]
fn a_rate_gives_its_burst_and_then_one_by_one() {
    let (memory, key) = (Memory::default(), keys().of("login", "ada@example.org"));
    let rate = Rate::new(5, 900_000);
    for left in (0..5).rev() {
        assert_eq!(memory.take(&key, rate, NOW), Verdict::Allowed { remaining: left });
    }
    assert_eq!(memory.take(&key, rate, NOW), Verdict::Refused { retry_after_ms: 180_000 });
    assert_eq!(memory.take(&key, rate, NOW + 179_999), Verdict::Refused { retry_after_ms: 1 });
    assert_eq!(memory.take(&key, rate, NOW + 180_000), Verdict::Allowed { remaining: 0 });
    assert!(!allowed(&memory, &key, NOW + 180_000));
    assert!(allowed(&memory, &keys().of("login", "bob@example.org"), NOW), "another's");
    assert!(allowed(&memory, &keys().of("reset", "ada@example.org"), NOW), "for another purpose");
}

#[test]
fn failures_lock_for_their_time_and_a_success_forgives() {
    let (memory, key) = (Memory::default(), keys().of("login", "ada@example.org"));
    let lockout = Lockout { after: 3, lock_for: Span::from_millis(1_000) };
    assert_eq!(memory.strike(&key, lockout, NOW), None);
    assert_eq!(memory.strike(&key, lockout, NOW), None);
    memory.forgive(&key);
    assert_eq!(memory.strike(&key, lockout, NOW), None);
    assert_eq!(memory.strike(&key, lockout, NOW), None);
    assert_eq!(memory.locked(&key, NOW), None);
    assert_eq!(memory.strike(&key, lockout, NOW), Some(1_000));
    assert_eq!(memory.strike(&key, lockout, NOW + 400), Some(600), "more failures do not lengthen it");
    assert_eq!(memory.locked(&key, NOW + 999), Some(1));
    assert_eq!(memory.locked(&key, NOW + 1_000), None);
    assert_eq!(memory.strike(&key, lockout, NOW + 1_000), None, "counts from the start");
}

#[test]
fn a_full_table_makes_strangers_share_but_lets_nobody_through() {
    let memory = Memory::with_capacity(100);
    let key = |n: u32| keys().of("login", &n.to_string());
    let passed = (0..20_000).filter(|n| memory.take(&key(*n), Rate::new(1, 60_000), NOW).is_allowed()).count();
    assert!(passed <= 100 + 1_024, "{passed}");
    assert!(memory.take(&key(99_999), Rate::new(1, 60_000), NOW + 60_000).is_allowed(), "what is over makes room");
    let lockout = Lockout { after: 1, lock_for: Span::from_millis(1_000) };
    for n in 0..200 {
        assert!(memory.strike(&key(n), lockout, NOW).is_some());
        assert!(memory.locked(&key(n), NOW).is_some(), "{n}");
    }
}

#[test]
fn nothing_that_is_counted_can_be_read() {
    let key = keys().of("login", "ada@example.org");
    assert!(key.0.starts_with("login:") && key.0.len() == 6 + 32, "{key:?}");
    assert!(!format!("{:?}", keys()).contains("demo"));
}

/// Nobody listens there.
fn away() -> Limiter {
    let redis = Redis::new("redis://127.0.0.1:1/0", "test", Span::from_millis(250)).unwrap();
    Limiter::with(Some(Box::new(redis)))
}

#[tokio::test]
async fn without_redis_memory_counts_and_never_lets_everybody_through() {
    for limiter in [away(), Limiter::with(None)] {
        let key = keys().of("login", "ada@example.org");
        let mut passed = 0;
        for _ in 0..20 {
            passed += u32::from(limiter.take(&key, Rate::new(5, 900_000), NOW).await.is_allowed());
        }
        assert_eq!(passed, 5);
        let lockout = Lockout { after: 2, lock_for: Span::from_millis(1_000) };
        assert_eq!(limiter.strike(&key, lockout, NOW).await, None);
        assert_eq!(limiter.strike(&key, lockout, NOW).await, Some(1_000));
        assert_eq!(limiter.locked(&key, NOW).await, Some(1_000));
        limiter.forgive(&key, NOW).await;
        assert_eq!(limiter.locked(&key, NOW).await, None);
    }
}

#[tokio::test]
async fn an_ended_session_is_known_here_at_once_and_what_is_unknown_is_said() {
    let (limiter, ended, other) = (away(), Uuid::from_u128(1), Uuid::from_u128(2));
    assert!(limiter.revoke(ended, NOW + 600_000, NOW).await.unwrap_err().is_transient());
    assert!(limiter.is_revoked(ended, NOW).await.unwrap());
    assert!(limiter.is_revoked(other, NOW).await.unwrap_err().is_transient());
    let alone = Limiter::with(None);
    alone.revoke(ended, NOW + 600_000, NOW).await.unwrap();
    assert!(alone.is_revoked(ended, NOW + 599_999).await.unwrap());
    assert!(!alone.is_revoked(ended, NOW + 600_000).await.unwrap(), "its last token has died");
    assert!(!alone.is_revoked(other, NOW).await.unwrap());
}

proptest! {
    /// Over any span no more pass than the burst and what has come back since.
    #[test]
    fn no_more_pass_than_the_rate_gives(count in 1u32..20, per_ms in 1u64..100_000, pauses in prop::collection::vec(0i64..5_000, 1..200)) {
        let (memory, key, rate) = (Memory::default(), keys().of("x", "y"), Rate::new(count, per_ms));
        let (mut now_ms, mut passed) = (NOW, 0i64);
        for pause in pauses {
            now_ms += pause;
            passed += i64::from(memory.take(&key, rate, now_ms).is_allowed());
            let back = (now_ms - NOW) * 1_000 / rate.interval_us();
            prop_assert!(passed <= i64::from(rate.count()) + back);
        }
    }
}
