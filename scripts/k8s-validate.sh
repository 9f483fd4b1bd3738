#!/usr/bin/env bash
# Checks what a cluster would get: renders k8s/overlays with kustomize, holds every resource against its schema and
# against the others, and lints the Dockerfile. Needs no cluster and no network.
#
#   scripts/k8s-validate.sh                check
#   scripts/k8s-validate.sh --self-test    also break things on purpose: every check must be able to fail
#   scripts/k8s-validate.sh render NAME    print the overlay `dev` or `prod`
#   scripts/k8s-validate.sh commands NAME  print how its pods start, as JSON (scripts/k8s/commands.py says its form)
#
# Tools come from $OPTIBID_TOOLS (scripts/install.sh manifests); this installs them when they are missing.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
TOOLS=${OPTIBID_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/optibid}
KUSTOMIZE=$TOOLS/kustomize/kustomize
PYTHON=$TOOLS/k8s/bin/python
HADOLINT=$TOOLS/k8s/bin/hadolint

say() { printf 'k8s: %s\n' "$*"; }
fail() { printf 'k8s: %s\n' "$*" >&2; exit 1; }
[ -e "$TOOLS/kustomize/.holds" ] && [ -x "$HADOLINT" ] || "$HERE/install.sh" manifests >&2

SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/optibid-k8s.XXXXXX")
trap 'rm -rf "$SCRATCH"' EXIT

render() { "$KUSTOMIZE" build "$1/overlays/$2"; }
validate() { PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "$HERE/k8s/validate.py" "$@"; }

check() {
  local overlay
  for overlay in dev prod; do
    render "$ROOT/k8s" $overlay >"$SCRATCH/$overlay.yaml" || fail "kustomize cannot build k8s/overlays/$overlay"
  done
  validate "$@" dev="$SCRATCH/dev.yaml" prod="$SCRATCH/prod.yaml" || fail "the manifests are wrong"
  "$HADOLINT" "$ROOT/Dockerfile" || fail "the Dockerfile is wrong"
  say "the Dockerfile passes its linter"
}

# A copy of the manifests to break.
broken_copy() { rm -rf "$SCRATCH/k8s" && cp -r "$ROOT/k8s" "$SCRATCH/k8s"; }

self_test() {
  broken_copy
  rm "$SCRATCH/k8s/base/api.yaml"
  ! render "$SCRATCH/k8s" dev >/dev/null 2>&1 || fail "self-test: kustomize built an overlay without one of its files"

  broken_copy
  sed -i 's/count: 3/count: 5/' "$SCRATCH/k8s/overlays/prod/kustomization.yaml"
  render "$SCRATCH/k8s" prod >"$SCRATCH/five.yaml"
  validate prod="$SCRATCH/five.yaml" >/dev/null || fail "self-test: the size of the group is not said in one place"
  grep -A1 'name: OPTIBID_PROCESSES' "$SCRATCH/five.yaml" | grep -q 'value: "5"' || fail "self-test: the group did not grow"

  sed -i 's/replicas: 5/replicas: 4/' "$SCRATCH/five.yaml"
  ! validate prod="$SCRATCH/five.yaml" >/dev/null 2>&1 || fail "self-test: two sizes of one group passed"

  printf 'FROM debian\nRUN cd /tmp && apt-get install curl\n' >"$SCRATCH/Dockerfile"
  ! "$HADOLINT" "$SCRATCH/Dockerfile" >/dev/null 2>&1 || fail "self-test: a bad Dockerfile passed"
  say "self-test: kustomize, the size of the group and the linter can fail"
}

case ${1:-} in
  '') check ;;
  --self-test) check --self-test; self_test ;;
  commands) render "$ROOT/k8s" "${2:?dev or prod}" | PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "$HERE/k8s/commands.py" ;;
  render) render "$ROOT/k8s" "${2:?dev or prod}" ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
