"""Every resource against its schema: Kubernetes' own ones strictly, for the oldest and the newest version we name;
those of operators against k8s/schemas, which holds the fields in use."""

import functools
import json
from pathlib import Path

import jsonschema
from kubernetes_validate import utils

# The oldest has the pod-index label for good and the `sleep` hook; the newest is the newest of the package.
VERSIONS = ("1.32", "1.37")
FOLDER = Path(__file__).resolve().parents[2] / "k8s" / "schemas"

# The schemas of one version are one file of megabytes: read it once.
utils.schema_contents = functools.cache(utils.schema_contents)


def problems(documents):
    """What is wrong, a line each."""
    found = []
    for document in documents:
        name = f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"
        own = FOLDER / f"{document.get('kind')}.json"
        if own.exists():
            schema = json.loads(own.read_text(encoding="utf-8"))
            for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
                found.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message}")
            continue
        for version in VERSIONS:
            try:
                utils.validate(document, version, strict=True)
            except utils.SchemaNotFoundError as error:
                found.append(f"{name}: no schema: {error.message}")
                break
            except utils.ValidationError as error:
                found.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message} (Kubernetes {version})")
                break
    return found
