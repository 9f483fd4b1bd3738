"""Checks rendered overlays: validate.py [--self-test] OVERLAY=FILE…"""

import sys

import yaml

import broken
import manifests
import schemas
import settings


def compose_problems(compose):
    """What is wrong with compose.yaml: it has no schema here, so only its references and OptiBid's own settings."""
    services, volumes = compose["services"], compose["volumes"]
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            if "healthcheck" not in services.get(other, {}):
                yield f"{name} waits for {other}, which never says that it is healthy"
        for mount in service.get("volumes", []):
            if mount.partition(":")[0] not in volumes:
                yield f"{name}: there is no volume {mount}"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: port {port} is open to others"
    for variable in services["optibid"]["environment"]:
        if complaint := settings.unknown_variable(variable):
            yield f"optibid: {complaint}"


def main(arguments):
    self_test = "--self-test" in arguments
    rendered = {}
    for argument in arguments:
        if argument != "--self-test":
            overlay, _, path = argument.partition("=")
            with open(path, encoding="utf-8") as file:
                rendered[overlay] = [document for document in yaml.safe_load_all(file) if document]
    failed = False
    for overlay, documents in rendered.items():
        found = schemas.problems(documents) or manifests.problems(documents)
        for line in found:
            print(f"k8s: {overlay}: {line}", file=sys.stderr)
        failed |= bool(found)
        if not found:
            print(f"k8s: {overlay}: {len(documents)} resources fit their schemas and each other")
    found = list(compose_problems(yaml.safe_load((settings.ROOT / "compose.yaml").read_text(encoding="utf-8"))))
    for line in found:
        print(f"k8s: compose.yaml: {line}", file=sys.stderr)
    failed |= bool(found)
    for path in sorted(settings.COMING):
        if settings.in_defaults(path):
            print(f"k8s: default.toml has {path} now: take it out of COMING in scripts/k8s/settings.py")
    if self_test and not failed:
        held, failures = broken.run(rendered)
        failures += broken.run_compose(compose_problems)
        for line in failures:
            print(f"k8s: self-test: {line}", file=sys.stderr)
        print(f"k8s: self-test: {held} of {held + len(failures)} broken manifests were refused for the right reason")
        failed |= bool(failures)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
