//! A group of processes says what one process says: the same batches at the same T's. Here the processes are pipelines in
//! one, each with names, records and everything of its own; only sockets connect them.

use std::net::TcpListener;

use model::Batch;
use pipeline::{Clock, Error};
use pipeline::{Feed, Handle};

use crate::sameness::fill;
use crate::support::{World, within};

/// `host:port` of so many processes, on ports that were free a moment ago.
fn hosts(processes: usize) -> String {
    let held: Vec<TcpListener> = (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let name = |listener: &TcpListener| format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    held.iter().map(name).collect::<Vec<_>>().join(",")
}

type Started = (World, Result<Handle, Error>);

/// Starts every process on a thread of its own: they wait for each other.
async fn group(processes: usize, workers: usize, seed: u64, records: usize) -> Vec<Started> {
    let hosts = hosts(processes);
    let start = |index| {
        let hosts = hosts.clone();
        tokio::task::spawn_blocking(move || {
            let mut world = World::new(workers, Clock::Event);
            world.config.cluster = pipeline::cluster::Config { processes, index, hosts };
            let replay = world.replay();
            fill(&replay, seed, records);
            let handle = world.try_start(Feed::Memory(replay), vec![], Some(Box::new(world.log.clone())), None);
            (world, handle)
        })
    };
    let starting: Vec<_> = (0..processes).map(start).collect();
    let mut started = Vec::new();
    for process in starting {
        started.push(within("the processes to meet", process).await.unwrap());
    }
    started
}

fn said(world: &World) -> Vec<Batch> {
    world.batches().iter().map(|batch| Batch::clone(batch)).collect()
}

async fn run(processes: usize, workers: usize, seed: u64) -> Vec<Batch> {
    let started = group(processes, workers, seed, 4_000).await;
    for (world, handle) in &started {
        let handle = handle.as_ref().unwrap_or_else(|error| panic!("{error}"));
        within("the end of the replay", handle.wait()).await.unwrap();
        assert_eq!(said(world).is_empty(), !world.config.cluster.leads(), "process 0 says everything");
    }
    said(&started[0].0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_says_what_one_process_says() {
    for seed in [1, 2] {
        let one = run(1, 1, seed).await;
        assert!(one.len() > 10 && one.iter().any(|batch| !batch.dead_letters.is_empty()));
        for (processes, workers) in [(2, 1), (3, 2)] {
            let group = run(processes, workers, seed).await;
            for (ours, theirs) in one.iter().zip(&group) {
                assert_eq!(ours, theirs, "seed {seed}, {processes} processes with {workers} workers");
            }
            assert_eq!(one.len(), group.len(), "seed {seed}: the same moments");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_ends_all_end_and_say_whose_end_it_was() {
    let mut started = group(3, 1, 3, 400_000).await;
    let (world, handle) = started.remove(1);
    // Asked alone to stop, it still does its part for a moment; then process 0 says what became of it.
    world.shutdown.stop();
    within("the end of the one", handle.unwrap().wait()).await.unwrap();
    let (_, leader) = &started[0];
    let told = within("the end of process 0", leader.as_ref().unwrap().wait()).await.unwrap_err().to_string();
    assert!(told.contains("process 1 (127.0.0.1:") && told.contains("asked to stop"), "{told}");
    let (_, other) = &started[1];
    // Process 0 leaves because of a failure, which is no orderly end to the third.
    let told = within("the end of the third", other.as_ref().unwrap().wait()).await.unwrap_err().to_string();
    assert!(told.contains("process 0 (127.0.0.1:") || told.contains("process 1 (127.0.0.1:"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_other_settings_is_refused() {
    let hosts = hosts(2);
    let start = |index: usize, more: bool| {
        let hosts = hosts.clone();
        let mut world = World::new(1, Clock::Event);
        let shutdown = world.shutdown.clone();
        let start = tokio::task::spawn_blocking(move || {
            world.config.cluster = pipeline::cluster::Config { processes: 2, index, hosts };
            if more {
                world.operators.tick_rows = !world.operators.tick_rows;
            }
            let replay = world.replay();
            replay.finish();
            world.try_start(Feed::Memory(replay), vec![], None, None).map(|_| ())
        });
        (shutdown, start)
    };
    let (stop, zero) = start(0, false);
    let (_, one) = start(1, true);
    let told = within("a refusal", one).await.unwrap().unwrap_err().to_string();
    assert!(told.contains("settings of operators"), "{told}");
    stop.stop();
    assert!(within("the end of the wait", zero).await.unwrap().is_err());
}
