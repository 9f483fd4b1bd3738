#!/usr/bin/env bash
# The benchmarks, in one run: the engine alone, the generator, then the whole program against the servers that
# `make bench` started. Ratios within one run say more than figures between runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
echo "cores: $(nproc), load: $(cut -d' ' -f1-3 /proc/loadavg)"
cargo bench --workspace --bench engine
cargo bench --workspace --bench generate
cargo bench --workspace --bench clearing
cargo bench --workspace --bench bids
cargo bench --workspace --bench whole
cargo bench --workspace --bench durable
