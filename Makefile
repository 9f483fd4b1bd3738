# The commands of the project. `make` lists them. Each line is one a person could type.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench verify web install soak

ARGS ?=
# One form of building everywhere: `--workspace` unifies features, so nothing heavy is built twice.
CARGO ?= cargo

help:
	@echo "make demo    build and run everything in one process: http://127.0.0.1:8000 (ARGS='--replay FILE…' for real files)"
	@echo "make test    start PostgreSQL, Redis, Kafka and the ClickHouse engine in a scratch folder, run every test, stop them; check k8s/"
	@echo "make check   formatting, clippy, licences and advisories, documentation"
	@echo "make bench   throughput, latency and memory (release build)"
	@echo "make web     build the page (api/web/dist)"
	@echo "make verify  what CI runs"

install:
	@scripts/install.sh

web:
	@scripts/web.sh

demo: install web
	$(CARGO) build --workspace --bins
	@echo "starting: http://127.0.0.1:8000 (Ctrl-C ends it)"
	@"$${CARGO_TARGET_DIR:-target}/debug/optibid" demo $(ARGS)

test:
	@scripts/install.sh test
	@scripts/web.sh test
	@scripts/k8s-validate.sh --self-test
	$(CARGO) test --workspace --no-run
	@scripts/with-servers.sh $(CARGO) test --workspace --no-fail-fast

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	@command -v cargo-deny >/dev/null && cargo deny check || echo "cargo-deny is not installed: licences and advisories not checked (cargo install cargo-deny)"

bench:
	@scripts/install.sh test
	@scripts/with-servers.sh scripts/bench.sh

verify: test
