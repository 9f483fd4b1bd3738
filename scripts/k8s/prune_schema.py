"""Cuts the schema of an operator's resource down to the fields that our manifests use, for k8s/schemas.

    kustomize build k8s/overlays/dev | prune_schema.py SCHEMA.json KIND >k8s/schemas/KIND.json

SCHEMA.json is the JSON schema of one version of a CustomResourceDefinition (`spec.versions[].schema.openAPIV3Schema`).
A field that is not in the result is refused by the validation: whoever uses a new one runs this again, from the
operator's own definition, and so finds out whether that field exists.
"""

import json
import sys

import yaml

KEPT = ("type", "enum", "pattern", "format", "minimum", "maximum", "minItems", "minLength", "maxLength", "required",
        "oneOf", "anyOf", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string")


def prune(schema, values):
    """The part of `schema` that `values` (everything that stands at this place) needs."""
    kept = {key: schema[key] for key in KEPT if key in schema}
    fields = schema.get("properties")
    if fields:
        used = sorted({name for value in values if isinstance(value, dict) for name in value})
        missing = [name for name in used if name not in fields]
        if missing and not schema.get("x-kubernetes-preserve-unknown-fields"):
            sys.exit(f"no such field in the definition: {', '.join(missing)}")
        kept["properties"] = {
            name: prune(fields[name], [value[name] for value in values if isinstance(value, dict) and name in value])
            for name in used if name in fields
        }
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        inner = [item for value in values if isinstance(value, dict) for item in value.values()]
        kept["additionalProperties"] = prune(schema["additionalProperties"], inner)
    if isinstance(schema.get("items"), dict):
        kept["items"] = prune(schema["items"], [item for value in values for item in value])
    return kept


def main(path, kind):
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    documents = [document for document in yaml.safe_load_all(sys.stdin) if document and document["kind"] == kind]
    if not documents:
        sys.exit(f"no {kind} among the manifests")
    schema["properties"]["metadata"] = {"type": "object"}
    pruned = prune(schema, documents)
    pruned["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    pruned["properties"]["apiVersion"] = {"const": documents[0]["apiVersion"]}
    pruned["required"] = ["apiVersion", "kind", "metadata", "spec"]
    json.dump(pruned, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
