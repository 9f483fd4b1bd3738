//! A group of processes that is one timely cluster. Process 0 leads: it mints T, holds the log of bindings, assembles,
//! and feeds snapshot, stream and sinks; the others read their share of the partitions and hold their share of the keys.
//!
//! ```text
//! meet (everybody, by TCP) ─► process 0: take over, load the checkpoint ─ Opening ─► the others open their sources ─► one dataflow
//!                                                any socket ends ─► everybody ends, and says whose it was
//! ```
//!
//! Timely has no rejoining: when one process is gone the group ends, and begins again together with its newest
//! checkpoint. That is also how its size changes. A process that cannot be part of the group (another size, version or
//! other settings) is refused by name while they meet, because a group that disagrees would compute wrong numbers.

mod link;
mod meet;
mod wire;

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::{CommsGuard, initialize_networking_from_sockets};
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};

use crate::Error;
use crate::coordination::Coordination;
use crate::status::TopicPartition;
pub(crate) use meet::{Identity, meet};

/// The `[pipeline.cluster]` section: how many processes there are, and which of them this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Number of processes; 1 needs nothing else.
    pub processes: usize,
    /// This one, from 0.
    pub index: usize,
    /// Where each listens for the others: `host:port`, separated by commas; or one with `{index}` in it for all.
    pub hosts: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { processes: 1, index: 0, hosts: String::new() }
    }
}

impl Config {
    /// Whether there are others.
    pub fn is_group(&self) -> bool {
        self.processes > 1
    }

    /// Whether this process mints, assembles and feeds the sinks.
    pub fn leads(&self) -> bool {
        self.index == 0
    }

    /// `host:port` of every process.
    pub fn addresses(&self) -> Result<Vec<String>, Error> {
        let refuse = |what: String| Err(Error::Config(what));
        if self.processes == 0 || self.processes > 256 {
            return refuse(format!("cluster.processes is {}: between 1 and 256", self.processes));
        }
        if self.index >= self.processes {
            let Self { index, processes, .. } = self;
            return refuse(format!("cluster.index is {index}, but the {processes} processes count from 0"));
        }
        if !self.is_group() {
            return Ok(Vec::new());
        }
        let addresses: Vec<String> = if self.hosts.contains("{index}") {
            (0..self.processes).map(|index| self.hosts.trim().replace("{index}", &index.to_string())).collect()
        } else {
            self.hosts.split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect()
        };
        if addresses.len() != self.processes {
            let Self { hosts, processes, .. } = self;
            return refuse(format!(
                "cluster.hosts names {} of {processes} processes ({hosts:?}): host:port of each, or one with {{index}}",
                addresses.len()
            ));
        }
        match addresses.iter().find(|address| meet::port(address).is_none()) {
            Some(bad) => refuse(format!("cluster.hosts: {bad:?} is not host:port")),
            None => Ok(addresses),
        }
    }
}

/// Which workers of how many are in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// By index in the whole group.
    pub here: Range<usize>,
    /// Workers of the whole group.
    pub peers: usize,
}

impl Layout {
    /// As the configuration says.
    pub fn new(config: &crate::Config) -> Self {
        let (workers, cluster) = (config.worker_threads(), &config.cluster);
        let first = cluster.index * workers;
        Self { here: first..first + workers, peers: cluster.processes * workers }
    }

    /// Whether worker 0 is here.
    pub fn leads(&self) -> bool {
        self.here.start == 0
    }
}

/// What process 0 tells the others before the dataflow begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// Workers begin with what was saved.
    pub(crate) begins: bool,
    /// T's on record come first.
    pub(crate) follows: bool,
    /// Where reading begins: topic, partition, offset.
    pub(crate) start: Vec<(Arc<str>, i32, i64)>,
}

impl Opening {
    /// The same as a map.
    pub(crate) fn start(&self) -> BTreeMap<TopicPartition, i64> {
        self.start.iter().map(|(topic, partition, offset)| ((Arc::clone(topic), *partition), *offset)).collect()
    }
}

/// The others, met: a socket each, in the order of their index; none to ourselves.
pub(crate) struct Group {
    index: usize,
    sockets: Vec<Option<TcpStream>>,
    addresses: Vec<String>,
}

impl Group {
    /// Process 0 tells all others how it begins.
    pub(crate) fn open(&mut self, opening: &Opening) -> Result<(), Error> {
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            let Some(socket) = socket else { continue };
            wire::send(socket, opening).map_err(|error| gone(index, &self.addresses, &error.to_string()))?;
        }
        Ok(())
    }

    /// Hands the sockets to timely, with `threads` workers here.
    pub(crate) fn connect(
        self,
        threads: usize,
        shared: &Arc<Coordination>,
    ) -> Result<(Vec<AllocatorBuilder>, CommsGuard), Error> {
        let hooks = Hooks::default();
        let workers = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), hooks.spill.clone());
        let links = self.sockets.into_iter().zip(self.addresses).enumerate().map(|(index, (socket, address))| {
            socket.map(|socket| link::Link::new(socket, index, &address, Arc::clone(shared)))
        });
        let (builders, guard) =
            initialize_networking_from_sockets(workers, links.collect(), self.index, threads, hooks)?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), guard))
    }
}

fn gone(index: usize, addresses: &[String], why: &str) -> Error {
    Error::Peer { index, address: addresses.get(index).cloned().unwrap_or_default(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(processes: usize, index: usize, hosts: &str) -> Config {
        Config { processes, index, hosts: hosts.to_owned() }
    }

    #[test]
    fn hosts_are_a_list_or_a_pattern() {
        let pattern = config(3, 1, "optibid-worker-{index}.optibid-workers:2101").addresses().unwrap();
        assert_eq!(pattern[2], "optibid-worker-2.optibid-workers:2101");
        assert_eq!(config(2, 0, " a:1, [::1]:2 ").addresses().unwrap(), ["a:1", "[::1]:2"]);
        assert!(config(1, 0, "").addresses().unwrap().is_empty());
    }

    #[test]
    fn a_group_that_cannot_be_is_refused_by_what_is_wrong() {
        let cases = [
            (config(3, 0, "a:1,b:2"), "names 2 of 3"),
            (config(2, 2, "a:1,b:2"), "index is 2"),
            (config(2, 0, "a:1,b"), "\"b\" is not host:port"),
            (config(2, 0, ""), "names 0 of 2"),
            (config(0, 0, ""), "between 1 and 256"),
        ];
        for (config, says) in cases {
            let told = config.addresses().unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
        }
    }
}
