//! The driver against a store that is slow, away, forgetful or stubborn: nothing is lost, order and bound are kept.

use std::sync::Arc;

use model::Batch;
use model::health::ServiceState;
use model::humane::Span;
use sinks::driver::{Condition, Limits};
use sinks::memory::Script;
use sinks::{Driver, Handle, Memory, Metrics};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::run;

struct Rig {
    memory: Memory,
    handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn limits() -> Limits {
    Limits {
        retry_min: Span::from_millis(1),
        retry_max: Span::from_millis(4),
        retry_permanent: Span::from_millis(4),
        write_timeout: Span::from_millis(5_000),
        drain: Span::from_millis(5_000),
        ..Limits::default()
    }
}

fn start(limits: Limits) -> Rig {
    let memory = Memory::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        // A dropped sender asks to stop as well.
        let _ = stopped.await;
    };
    let (handle, task) = Driver::spawn(Box::new(memory.clone()), limits, &Metrics::unregistered(), shutdown);
    Rig { memory, handle, stop, task }
}

/// `count` batches of `rows` rows.
fn batches(count: u64, rows: usize) -> Vec<Arc<Batch>> {
    let notice = run::random(51, 60).batches.iter().find_map(|batch| batch.notices.first().cloned()).unwrap();
    (1..=count).map(|t| Arc::new(Batch { t, notices: vec![notice.clone(); rows], ..Batch::default() })).collect()
}

async fn push_all(handle: &Handle, batches: &[Arc<Batch>]) {
    for batch in batches {
        handle.push(Arc::clone(batch)).await.unwrap();
    }
}

async fn acked(handle: &Handle, t: u64) {
    handle.acked().wait_for(|acked| *acked >= t).await.unwrap();
}

impl Rig {
    async fn finish(self) -> Memory {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.memory
    }
}

#[tokio::test]
async fn batches_arrive_once_and_in_order() {
    let (rig, run) = (start(limits()), run::random(52, 200));
    push_all(&rig.handle, &run.batches).await;
    acked(&rig.handle, run.last_t()).await;
    assert_eq!(rig.handle.health().state, ServiceState::Up);
    let memory = rig.finish().await;
    let expected: Vec<_> = run.batches.iter().map(|batch| batch.t).collect();
    let written: Vec<_> = memory.writes().concat();
    // Runs without any row are acknowledged, not written.
    let mut position = 0;
    for t in &written {
        position += expected[position..].iter().position(|other| other == t).expect("in order, once") + 1;
    }
    let with_rows = run.batches.iter().filter(|batch| batch.rows() > 0);
    assert!(with_rows.clone().all(|batch| written.contains(&batch.t)));
    let held: Vec<_> = memory.batches().into_iter().filter(|batch| batch.rows() > 0).collect();
    assert_eq!(held, with_rows.cloned().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_that_comes_and_goes_loses_nothing() {
    let (rig, run) = (start(limits()), run::random(53, 150));
    let memory = rig.memory.clone();
    for (index, piece) in run.batches.chunks(10).enumerate() {
        let script = [Script::Works, Script::Away, Script::Forgetful, Script::Refuses][index % 4].clone();
        let before = *memory.attempts().borrow();
        memory.script(script.clone());
        push_all(&rig.handle, piece).await;
        if script != Script::Works {
            memory.attempts().wait_for(|attempts| *attempts > before + 2).await.unwrap();
            rig.handle.state().wait_for(|state| matches!(state, Condition::Failing { .. })).await.unwrap();
            let health = rig.handle.health();
            assert_eq!(health.state, ServiceState::Down);
            assert_eq!(health.detail.contains("a person must act"), script == Script::Refuses, "{}", health.detail);
        }
    }
    memory.script(Script::Works);
    acked(&rig.handle, run.last_t()).await;
    rig.handle.state().wait_for(|state| *state == Condition::Up).await.unwrap();
    let memory = rig.finish().await;
    let expected: Vec<_> = run.batches.iter().filter(|batch| batch.rows() > 0).cloned().collect();
    let held: Vec<_> = memory.batches().into_iter().filter(|batch| batch.rows() > 0).collect();
    assert_eq!(held, expected);
    let writes = memory.writes();
    assert!(writes.windows(2).all(|pair| pair[0] == pair[1] || pair[0].last() < pair[1].first()), "runs in order");
}

#[tokio::test]
async fn a_full_queue_makes_the_source_wait_and_the_bound_holds() {
    let limits = Limits { queue_rows: 100, max_rows: 40, ..limits() };
    let rig = start(limits);
    rig.memory.script(Script::Hangs);
    let all = batches(60, 10);
    let pushed = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let pusher = tokio::spawn({
        let (handle, all, pushed) = (rig.handle.clone(), all.clone(), Arc::clone(&pushed));
        async move {
            for batch in all {
                handle.push(batch).await.unwrap();
                assert!(handle.queued_rows() <= 100);
                pushed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    // Ten batches of ten rows fill it; the eleventh waits for as long as the store does.
    while rig.handle.queued_rows() < 100 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pushed.load(std::sync::atomic::Ordering::SeqCst), 10);
    assert!(!pusher.is_finished());
    assert_eq!(rig.handle.health().state, ServiceState::Degraded);
    rig.memory.script(Script::Works);
    pusher.await.unwrap();
    acked(&rig.handle, 60).await;
    let memory = rig.finish().await;
    assert_eq!(memory.writes().concat(), (1..=60).collect::<Vec<_>>());
    assert!(memory.writes().iter().all(|run| run.len() <= 4), "runs of at most max_rows");
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_still_passes() {
    let rig = start(Limits { queue_rows: 5, ..limits() });
    push_all(&rig.handle, &batches(4, 50)).await;
    acked(&rig.handle, 4).await;
    assert_eq!(rig.finish().await.writes().concat(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_comes_within_the_delay_is_one_write() {
    let rig = start(Limits { max_rows: 20, max_delay: Span::from_millis(60_000), ..limits() });
    push_all(&rig.handle, &batches(20, 1)).await;
    acked(&rig.handle, 20).await;
    push_all(&rig.handle, &batches(30, 1)[20..]).await;
    // The delay is a minute, but a shutdown does not wait for it.
    let memory = rig.finish().await;
    assert_eq!(memory.writes(), [(1..=20).collect::<Vec<_>>(), (21..=30).collect()]);
}

#[tokio::test]
async fn a_write_without_an_answer_is_repeated() {
    let rig = start(Limits { write_timeout: Span::from_millis(5), ..limits() });
    rig.memory.script(Script::Hangs);
    push_all(&rig.handle, &batches(1, 1)).await;
    rig.memory.attempts().wait_for(|attempts| *attempts >= 3).await.unwrap();
    assert!(rig.handle.health().detail.contains("no answer within 5ms"));
    rig.memory.script(Script::Works);
    acked(&rig.handle, 1).await;
    assert_eq!(rig.finish().await.batches().len(), 1);
}

#[tokio::test]
async fn a_shutdown_writes_what_is_queued_and_tells_of_what_it_could_not() {
    let rig = start(limits());
    push_all(&rig.handle, &batches(500, 1)).await;
    let handle = rig.handle.clone();
    let memory = rig.finish().await;
    assert_eq!(memory.writes().concat().len(), 500);
    assert_eq!(*handle.state().borrow(), Condition::Stopped { unwritten: 0 });
    assert!(handle.push(Arc::new(Batch::default())).await.is_err());

    let rig = start(Limits { drain: Span::from_millis(20), ..limits() });
    rig.memory.script(Script::Away);
    push_all(&rig.handle, &batches(7, 3)).await;
    let handle = rig.handle.clone();
    rig.finish().await;
    assert_eq!(*handle.state().borrow(), Condition::Stopped { unwritten: 21 });
    assert_eq!(handle.acked_t(), 0);
}
