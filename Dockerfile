# syntax=docker/dockerfile:1
# The image of everything: workers, API, migrations, the simulator. `docker build -t optibid:dev .`

# The page, which the binary carries inside.
FROM node:22-bookworm-slim AS page
WORKDIR /src/api/web
COPY api/web/package.json api/web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY api/web ./
RUN npm run build

# The binary. The caches stay with the builder, so a change of ours does not compile everybody else's crates again.
FROM rust:1.95-bookworm AS build
# Of libcurl only the headers: librdkafka looks for them when TLS is on. What Debian has is new enough whatever it is.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make pkg-config libssl-dev libcurl4-openssl-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=page /src/api/web/dist api/web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package optibid --bin optibid \
    && install -D target/release/optibid /out/optibid \
    && strip /out/optibid

# What runs: the C libraries that the binary names, the roots of trust, nothing to compile or to fetch with.
FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 /var/lib/optibid
COPY --from=build /out/optibid /usr/local/bin/optibid
USER 65532:65532
# The data folder is `data` in here, unless the configuration says otherwise; all else may be read-only.
WORKDIR /var/lib/optibid
# HTTP, the PostgreSQL protocol, and the workers among themselves.
EXPOSE 8000 5433 2101
ENTRYPOINT ["/usr/local/bin/optibid"]
CMD ["run"]
