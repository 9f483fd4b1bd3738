"""Prints how the pods of a rendered overlay start, as JSON, for tests that start the same commands without a cluster:

    [{"kind", "name", "replicas", "args": […], "env": {NAME: {"value": …} | {"secret", "key"} | {"field"}},
      "files": {path: text}, "ports": {name: number}}]

A variable from a ConfigMap comes with its value; one whose ConfigMap or key is missing and optional is left out. One
from a Secret comes with the Secret's name and key, since a test has its own."""

import json
import sys

import yaml

import manifests


def environment(documents, container):
    maps = {d["metadata"]["name"]: d.get("data") or {} for d in manifests.of_kind(documents, "ConfigMap")}
    env = {}
    for entry in container.get("env", []):
        source = entry.get("valueFrom", {})
        if "configMapKeyRef" in source:
            reference = source["configMapKeyRef"]
            value = maps.get(reference["name"], {}).get(reference["key"])
            if value is not None:
                env[entry["name"]] = {"value": value}
        elif "secretKeyRef" in source:
            env[entry["name"]] = {"secret": source["secretKeyRef"]["name"], "key": source["secretKeyRef"]["key"]}
        elif "fieldRef" in source:
            env[entry["name"]] = {"field": source["fieldRef"]["fieldPath"]}
        else:
            env[entry["name"]] = {"value": entry["value"]}
    return env


def files(documents, pod, container):
    texts = {d["metadata"]["name"]: d.get("data") or {} for d in manifests.of_kind(documents, "ConfigMap")}
    sources = {v["name"]: v["configMap"]["name"] for v in pod.spec.get("volumes", []) if "configMap" in v}
    mounted = [m for m in container.get("volumeMounts", []) if m["name"] in sources]
    return {f"{m['mountPath']}/{key}": text for m in mounted for key, text in texts[sources[m["name"]]].items()}


def commands(documents):
    for pod in manifests.workload_pods(documents):
        if pod.ours:
            kind, name = pod.owner.split("/")
            container = next(c for c in pod.spec["containers"] if c["name"] == "optibid")
            yield {
                "kind": kind,
                "name": name,
                "replicas": manifests.find(documents, kind, name)["spec"].get("replicas", 1),
                "args": container["args"],
                "env": environment(documents, container),
                "files": files(documents, pod, container),
                "ports": pod.ports,
            }


if __name__ == "__main__":
    json.dump(list(commands([d for d in yaml.safe_load_all(sys.stdin) if d])), sys.stdout, indent=1)
    print()
