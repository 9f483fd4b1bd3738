"""The settings that OptiBid knows, read from its own sources, so that a manifest cannot name one that is not there."""

import functools
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Arguments of `optibid run` that may come as variables.
OF_RUN = {"OPTIBID_PROCESSES", "OPTIBID_INDEX", "OPTIBID_HOSTS"}
# What the object store's client reads.
OF_BUCKET = {"AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
# Settings that come with checkpoints. Take one out as soon as default.toml has it.
COMING: set[str] = set()
COMMANDS = {"run", "serve", "migrate", "simulate"}


@functools.cache
def defaults():
    with open(ROOT / "optibid/src/default.toml", "rb") as file:
        return tomllib.load(file)


@functools.cache
def earlier_names():
    """Names that clients of the earlier platform set: the table in config.rs."""
    text = (ROOT / "optibid/src/config.rs").read_text(encoding="utf-8")
    table = re.search(r"EARLIER_NAMES: .*?\];", text, re.S)
    names = set(re.findall(r'\("([A-Z_]+)",', table.group(0))) if table else set()
    assert "KAFKA_BOOTSTRAP_SERVERS" in names, "config.rs has another form: teach me to read it"
    return names


def in_defaults(path):
    """Whether `a.b.c` is in default.toml. Free-form sections (librdkafka's options) take any key."""
    table = defaults()
    for part in path.split("."):
        if table == {}:
            return True
        if not isinstance(table, dict) or part not in table:
            return False
        table = table[part]
    return True


def has(path):
    """Whether `a.b.c` is a setting."""
    return path in COMING or in_defaults(path)


def unknown_variable(name):
    """Why no OptiBid program reads this variable; None when one does."""
    if name in OF_RUN | OF_BUCKET | earlier_names():
        return None
    if not name.startswith("OPTIBID__"):
        return f"nothing reads the variable {name}"
    path = name.removeprefix("OPTIBID__").lower().replace("__", ".")
    return None if has(path) else f"variable {name}: there is no setting {path}"


def unknown_keys(table, prefix=""):
    """Keys of a configuration file that are no settings."""
    found = []
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            found += unknown_keys(value, f"{path}.")
        elif not has(path):
            found.append(path)
    return found
