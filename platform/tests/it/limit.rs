//! Limits in a real Redis: the same answers as in memory, one count for all instances, nothing to read in it.

use model::humane::{Secret, Span};
use platform::Config;
use platform::limit::{Keys, Limiter, Lockout, Memory, Rate, Redis, Store, Verdict};
use platform::seal;
use redis::AsyncCommands;
use uuid::Uuid;

use crate::server;

const NOW: i64 = 1_800_000_000_000;
/// Patience of tests: machines that run every test at once are slow.
const PATIENCE: Span = Span::from_millis(30_000);

fn keys() -> Keys {
    Keys::new(&seal::Keys::new(&Config::default()).unwrap())
}

fn store(prefix: &str) -> Redis {
    Redis::new(&server::address("REDIS"), prefix, PATIENCE).unwrap()
}

async fn everything(prefix: &str) -> Vec<(String, i64)> {
    let client = redis::Client::open(server::address("REDIS")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let names: Vec<String> = connection.keys(format!("{prefix}:*")).await.unwrap();
    let mut found = Vec::new();
    for name in names {
        let life_ms: i64 = connection.pttl(&name).await.unwrap();
        found.push((name, life_ms));
    }
    found
}

#[tokio::test]
async fn redis_and_memory_say_the_same() {
    let (redis, memory, key) = (store(&server::unique("same")), Memory::default(), keys().of("login", "ada"));
    let lockout = Lockout { after: 4, lock_for: Span::from_millis(9_000_000) };
    // Uneven pauses and rates that do not divide: the script's doubles must not drift from integers.
    for (rate, pauses) in [(Rate::new(5, 900_000), 61_037), (Rate::new(7, 10_000), 997), (Rate::new(3, 1_000), 111)] {
        let key = keys().of("rate", &rate.to_string());
        for n in 0..60 {
            let now_ms = NOW + (n / 3) * pauses;
            let (there, here) = (redis.take(&key, rate, now_ms).await.unwrap(), memory.take(&key, rate, now_ms));
            assert_eq!(there, here, "{rate} at {n}");
        }
    }
    for n in 0..8 {
        let now_ms = NOW + n * 1_000;
        assert_eq!(redis.strike(&key, lockout, now_ms).await.unwrap(), memory.strike(&key, lockout, now_ms), "{n}");
        assert_eq!(redis.locked(&key, now_ms).await.unwrap(), memory.locked(&key, now_ms), "{n}");
    }
    for now_ms in [NOW + 3_000 + 9_000_000 - 1, NOW + 3_000 + 9_000_000] {
        assert_eq!(redis.locked(&key, now_ms).await.unwrap(), memory.locked(&key, now_ms));
    }
    let later = NOW + 20_000_000;
    assert_eq!(redis.strike(&key, lockout, later).await.unwrap(), memory.strike(&key, lockout, later));
    redis.forgive(&key).await.unwrap();
    memory.forgive(&key);
    for n in 0..4 {
        assert_eq!(redis.strike(&key, lockout, later + n).await.unwrap(), memory.strike(&key, lockout, later + n));
    }
}

#[tokio::test]
async fn many_at_once_through_several_instances_get_one_burst() {
    let prefix = server::unique("burst");
    let config = Config {
        redis_url: Secret::new(server::address("REDIS")),
        redis_prefix: prefix,
        limits: platform::config::Limits { redis_timeout: PATIENCE, ..Default::default() },
        ..Config::default()
    };
    let instances: Vec<_> = (0..4).map(|_| std::sync::Arc::new(Limiter::new(&config).unwrap())).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (limiter, key) = (instances[n % 4].clone(), keys().of("login", "ada"));
        tasks.spawn(async move { limiter.take(&key, Rate::new(10, 900_000), NOW).await.is_allowed() });
    }
    let passed = tasks.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 10);
    assert_eq!(
        instances[0].take(&keys().of("login", "ada"), Rate::new(10, 900_000), NOW).await,
        Verdict::Refused { retry_after_ms: 90_000 }
    );
}

#[tokio::test]
async fn an_ended_session_is_known_to_every_instance_until_its_last_token_dies() {
    let prefix = server::unique("revoked");
    let (one, other) = (store(&prefix), store(&prefix));
    let (ended, alive) = (Uuid::from_u128(1), Uuid::from_u128(2));
    one.revoke(ended, NOW + 600_000, NOW).await.unwrap();
    one.revoke(alive, NOW - 1, NOW).await.unwrap();
    assert!(other.is_revoked(ended, NOW).await.unwrap());
    assert!(!other.is_revoked(alive, NOW).await.unwrap());
    let found = everything(&prefix).await;
    assert_eq!(found.len(), 1);
    assert!((500_000..=600_000).contains(&found[0].1), "{found:?}");
}

#[tokio::test]
async fn nothing_personal_lies_in_redis_and_nothing_lies_there_for_ever() {
    let prefix = server::unique("private");
    let (store, key) = (store(&prefix), keys().of("login", "ada@example.org"));
    store.take(&key, Rate::new(5, 900_000), NOW).await.unwrap();
    store.strike(&key, Lockout { after: 3, lock_for: Span::from_millis(900_000) }, NOW).await.unwrap();
    store.revoke(Uuid::from_u128(1), NOW + 600_000, NOW).await.unwrap();
    let found = everything(&prefix).await;
    assert_eq!(found.len(), 3, "{found:?}");
    for (name, life_ms) in found {
        assert!(!name.contains("ada") && !name.contains('@'), "{name}");
        assert!((1..=900_000).contains(&life_ms), "{name} {life_ms}");
    }
}

/// A way to the server that can be closed: passes on what comes to `listener`.
async fn passage(listener: tokio::net::TcpListener) {
    let url = server::address("REDIS");
    let target = url.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let mut tasks = tokio::task::JoinSet::new();
    while let Ok((mut here, _)) = listener.accept().await {
        let target = target.clone();
        tasks.spawn(async move {
            let mut there = tokio::net::TcpStream::connect(target).await.unwrap();
            tokio::io::copy_bidirectional(&mut here, &mut there).await
        });
    }
}

/// Asks once a second until Redis holds `keys`, and when that is. The connection's manager answers one question with
/// the attempt that it made when the last one broke, so it takes two.
async fn heard_again(limiter: &Limiter, prefix: &str, mut now_ms: i64, keys_there: usize) -> i64 {
    for n in 0..30 {
        limiter.take(&keys().of("again", &format!("{keys_there} {n}")), Rate::new(1, 900_000), now_ms).await;
        if everything(prefix).await.len() == keys_there {
            return now_ms;
        }
        now_ms += 1_000;
    }
    panic!("Redis is not asked again");
}

#[tokio::test]
async fn redis_is_used_again_when_it_comes_back_and_memory_while_it_is_away() {
    let (prefix, rate) = (server::unique("away"), Rate::new(2, 900_000));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let redis = Redis::new(&format!("redis://{address}/0"), &prefix, Span::from_millis(5_000)).unwrap();
    let limiter = Limiter::with(Some(Box::new(redis)));
    let key = |n: u32| keys().of("login", &n.to_string());
    let rate_keys = async || everything(&prefix).await.len();

    drop(listener);
    assert!(limiter.take(&key(0), rate, NOW).await.is_allowed());
    assert_eq!(rate_keys().await, 0);

    let open = tokio::spawn(passage(tokio::net::TcpListener::bind(address).await.unwrap()));
    assert!(limiter.take(&key(1), rate, NOW + 999).await.is_allowed());
    assert_eq!(rate_keys().await, 0, "left alone for a second");
    let heard = heard_again(&limiter, &prefix, NOW + 1_000, 1).await;

    open.abort();
    assert!(open.await.unwrap_err().is_cancelled());
    for passed in [true, true, false] {
        assert_eq!(limiter.take(&key(2), rate, heard).await.is_allowed(), passed, "in memory");
    }
    assert!(limiter.is_revoked(Uuid::from_u128(1), heard).await.is_err());

    let _open = tokio::spawn(passage(tokio::net::TcpListener::bind(address).await.unwrap()));
    let heard = heard_again(&limiter, &prefix, heard + 1_000, 2).await;
    assert!(!limiter.is_revoked(Uuid::from_u128(1), heard).await.unwrap());
}
