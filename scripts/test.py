#!/usr/bin/env python3
"""Runs every test of the workspace, of the page and of the manifests, on two lanes that share the work: first those of the
whole program, which are the longest and mostly wait for servers, in shares; then what is left.

Each binary runs in its crate's folder, as under `cargo test`; what it prints comes when it has ended. Everything runs to
its end; the exit status is 1 if anything failed. Arguments go to every binary: `scripts/test.py standby` runs what has
that in its name, and neither the page's tests nor the manifests'. (The servers: `scripts/with-servers.sh scripts/test.py`.)
"""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

CARGO = os.environ.get("CARGO", "cargo")
FILTERS = sys.argv[1:]
SHARES = 4
# Crates whose tests take longest, first: what is short fills the end.
LONGEST = ["pipeline", "sinks", "platform", "simulator", "operators", "sql"]
printing = threading.Lock()
failed = []


def binaries():
    """(crate's folder, target, binary) of every test binary, built where it is not."""
    build = [CARGO, "test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"]
    lines = subprocess.run(build, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    for message in map(json.loads, lines):
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            folder = pathlib.Path(message["manifest_path"]).parent
            yield folder, message["target"]["src_path"], message["executable"]


def shares(name, command, folder):
    """The same tests in parts: every part has each fourth of them, so that what stands together in a file is spread."""
    listed = subprocess.run([*command, "--list"], cwd=folder, stdout=subprocess.PIPE, check=True, text=True).stdout
    tests = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
    for part in range(min(SHARES, len(tests))):
        binary = command[0]
        yield f"{name} ({part + 1} of {SHARES})", [binary, "--exact", *tests[part::SHARES]], folder


def run(name, command, folder):
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed = child.stdout.read()
    # Its own and that of the programs it has started and waited for; the servers' is not in it.
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    with printing:
        print(f"     Running {name} ({time.monotonic() - started:.1f} s, {cpu:.1f} s of CPU)", flush=True)
        sys.stdout.buffer.write(printed)
        sys.stdout.flush()
        if child.returncode != 0:
            failed.append(name)


def lane(commands):
    while command := next(commands, None):
        run(*command)


def main():
    tests = [(os.path.relpath(source), [binary, *FILTERS], folder) for folder, source, binary in binaries()]
    whole = [share for test in tests if test[2].name == "optibid" for share in shares(*test)]
    others = [test for test in tests if test[2].name != "optibid"]
    others.sort(key=lambda test: LONGEST.index(test[2].name) if test[2].name in LONGEST else len(LONGEST))
    others.append(("examples in the documentation", [CARGO, "test", "--workspace", "--doc", "--", *FILTERS], "."))
    if not FILTERS:
        others.append(("the page", ["scripts/web.sh", "test"], "."))
        others.append(("manifests", ["scripts/k8s-validate.sh", "--self-test"], "."))
    # `next` of a list's iterator is one step of the interpreter: two lanes never take the same.
    commands = iter(whole + others)
    lanes = [threading.Thread(target=lane, args=(commands,)) for _ in range(2)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    if failed:
        sys.exit("failed: " + ", ".join(failed))


main()
