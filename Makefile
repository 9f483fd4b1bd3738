# The commands of the project. `make` lists them. Each line is one a person could type.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench verify web install soak

ARGS ?=
# One form of building everywhere: `--workspace` unifies features, so nothing heavy is built twice.
CARGO ?= cargo

help:
	@echo "make demo    build and run everything, with a private PostgreSQL and Redis for accounts: http://127.0.0.1:8000 (ARGS='--replay FILE…' for real files)"
	@echo "             DURABLE=1: on a real Kafka broker, survives kill -9"
	@echo "make soak    kill it thousands of times: SEEDS=2000 in process, KILLS=40 with real processes and servers"
	@echo "make test    start PostgreSQL, Redis, Kafka and the ClickHouse engine in a scratch folder, run every test, stop them; check k8s/"
	@echo "make check   formatting, clippy, licences and advisories, documentation"
	@echo "make bench   throughput, latency and memory (release build)"
	@echo "make web     build the page (api/web/dist)"
	@echo "make verify  what CI runs"

install:
	@scripts/install.sh

web:
	@scripts/web.sh

# DURABLE=1: on a real Kafka broker that outlives the program, with checkpoints, in ./data/durable.
ifdef DURABLE
demo: install web
	@scripts/install.sh kafka
	$(CARGO) build --workspace --bins
	@scripts/demo-durable.sh "$${CARGO_TARGET_DIR:-target}/debug/optibid" $(ARGS)
else
demo: install web
	@scripts/install.sh demo
	$(CARGO) build --workspace --bins
	@echo "starting: http://127.0.0.1:8000 (log in as admin@optibid.io / admin123; Ctrl-C ends it)"
	@scripts/demo.sh "$${CARGO_TARGET_DIR:-target}/debug/optibid" $(ARGS)
endif

test:
	@scripts/install.sh test
	@scripts/web.sh
	$(CARGO) test --workspace --no-run
	@CARGO="$(CARGO)" KAFKA_JVM=-XX:TieredStopAtLevel=1 scripts/with-servers.sh scripts/test.py

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	@command -v cargo-deny >/dev/null && cargo deny check || echo "cargo-deny is not installed: licences and advisories not checked (cargo install cargo-deny)"

bench:
	@scripts/install.sh test
	@scripts/with-servers.sh scripts/bench.sh

verify: test

# In process, with both clocks, SEEDS runs each; and with real processes and servers, KILLS runs. A seed that fails is
# printed and replays alone (OPTIBID_SEED=17).
SEEDS ?= 2000
KILLS ?= 40
soak:
	@scripts/install.sh test
	$(CARGO) test --workspace --no-run
	OPTIBID_SEEDS=$(SEEDS) OPTIBID_KILLS=$(KILLS) scripts/with-servers.sh $(CARGO) test --workspace --test it -- crash:: kills:: --nocapture
