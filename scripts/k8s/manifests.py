"""What no schema can see: whether the parts of the rendered manifests fit together.

Each check takes all documents and yields what is wrong, a line each. broken.py proves that each can fail."""

import base64
import ipaddress
import tomllib

import settings

NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
SIZE, HOSTS = "OPTIBID_PROCESSES", "OPTIBID_HOSTS"


# ---- finding things ----

def named(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(documents, *kinds):
    return [document for document in documents if document["kind"] in kinds]


def find(documents, kind, name):
    return next((d for d in of_kind(documents, kind) if d["metadata"]["name"] == name), None)


class Pod:
    """What a workload or an operator's resource makes: labels, and ports by name."""

    def __init__(self, owner, labels, ports, spec=None):
        self.owner, self.labels, self.ports, self.spec = owner, labels, ports, spec
        self.ours = labels.get(NAME) == "optibid"

    def containers(self):
        return self.spec["containers"] + self.spec.get("initContainers", [])


def workload_pods(documents):
    for document in of_kind(documents, "StatefulSet", "Deployment", "Job"):
        template = document["spec"]["template"]
        spec = template["spec"]
        ports = {p["name"]: p["containerPort"] for c in spec["containers"] for p in c.get("ports", [])}
        yield Pod(named(document), template["metadata"].get("labels", {}), ports, spec)


def operator_pods(documents):
    """The labels and ports that operators give their pods."""
    for document in of_kind(documents, "Kafka", "Cluster", "ClickHouseInstallation"):
        name, owner = document["metadata"]["name"], named(document)
        if document["kind"] == "Kafka":
            ports = {listener["name"]: listener["port"] for listener in document["spec"]["kafka"]["listeners"]}
            yield Pod(owner, {"strimzi.io/cluster": name, "strimzi.io/kind": "Kafka"}, ports)
        elif document["kind"] == "Cluster":
            yield Pod(owner, {"cnpg.io/cluster": name}, {"postgresql": 5432})
        else:
            yield Pod(owner, {"clickhouse.altinity.com/chi": name}, {"http": 8123, "tcp": 9000})


def all_pods(documents):
    return [*workload_pods(documents), *operator_pods(documents)]


def service_hosts(documents):
    """Host names within the namespace: {name: pods behind it}."""
    pods = all_pods(documents)
    hosts = {}
    for service in of_kind(documents, "Service"):
        chosen = service["spec"].get("selector", {})
        hosts[service["metadata"]["name"]] = [p for p in pods if chosen.items() <= p.labels.items()]
    for pod in operator_pods(documents):
        kind, name = pod.owner.split("/")
        host = {"Kafka": f"{name}-kafka-bootstrap", "Cluster": f"{name}-rw"}.get(kind, f"clickhouse-{name}")
        hosts[host] = [pod]
    return hosts


def selects(selector, labels):
    """A label selector; an empty one selects everything."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    for want in selector.get("matchExpressions", []):
        value, operator = labels.get(want["key"]), want["operator"]
        if operator == "In" and value not in want["values"]:
            return False
        if operator == "NotIn" and value in want["values"]:
            return False
        if operator == "Exists" and value is None:
            return False
        if operator == "DoesNotExist" and value is not None:
            return False
    return True


def provided(documents):
    """ConfigMaps and Secrets that are there: {(kind, name): keys}, made by us or by an operator."""
    there = {}
    for document in of_kind(documents, "ConfigMap", "Secret"):
        keys = {*(document.get("data") or {}), *(document.get("stringData") or {})}
        there[document["kind"], document["metadata"]["name"]] = keys
    for document in of_kind(documents, "ExternalSecret"):
        keys = {entry["secretKey"] for entry in document["spec"]["data"]}
        there["Secret", document["spec"]["target"]["name"]] = keys
    for document in of_kind(documents, "Cluster"):  # CloudNativePG, for the owner of the database
        keys = {"username", "user", "password", "dbname", "host", "port", "uri", "jdbc-uri", "pgpass"}
        there["Secret", f"{document['metadata']['name']}-app"] = keys
    return there


# ---- checks ----

def references(documents):
    """Every ConfigMap, Secret and key that is named exists."""
    there = provided(documents)

    def check(owner, kind, name, key=None, optional=False):
        if optional:
            return
        if (kind, name) not in there:
            yield f"{owner}: there is no {kind} {name}"
        elif key is not None and key not in there[kind, name]:
            yield f"{owner}: {kind} {name} has no key {key}"

    def walk(owner, node):
        if isinstance(node, list):
            for item in node:
                yield from walk(owner, item)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in ("configMapKeyRef", "secretKeyRef"):
                    kind = "Secret" if key == "secretKeyRef" else "ConfigMap"
                    yield from check(owner, kind, value["name"], value["key"], value.get("optional", False))
                elif key in ("configMapRef", "secretRef"):
                    kind = "Secret" if key == "secretRef" else "ConfigMap"
                    yield from check(owner, kind, value["name"], None, value.get("optional", False))
                else:
                    yield from walk(owner, value)

    for document in documents:
        yield from walk(named(document), document.get("spec"))
    for pod in workload_pods(documents):
        for volume in pod.spec.get("volumes", []):
            if "configMap" in volume:
                yield from check(pod.owner, "ConfigMap", volume["configMap"]["name"])
            if "secret" in volume:
                yield from check(pod.owner, "Secret", volume["secret"]["secretName"])
        account = pod.spec.get("serviceAccountName")
        if account and not find(documents, "ServiceAccount", account):
            yield f"{pod.owner}: there is no ServiceAccount {account}"


def mounts(documents):
    """Every mount has its volume, and every volume is mounted."""
    for document in of_kind(documents, "StatefulSet", "Deployment", "Job"):
        spec = document["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
        mounted = {m["name"] for c in spec["containers"] for m in c.get("volumeMounts", [])}
        for name in sorted(mounted ^ volumes):
            yield f"{named(document)}: volume {name} is {'not there' if name in mounted else 'not mounted'}"


def services(documents):
    """A Service selects the pods of exactly one workload, and its ports are theirs."""
    for service in of_kind(documents, "Service"):
        chosen = service_hosts(documents)[service["metadata"]["name"]]
        if len(chosen) != 1:
            yield f"{named(service)}: selects pods of {[pod.owner for pod in chosen]}, want those of one workload"
        for pod in chosen:
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in pod.ports and target not in pod.ports.values():
                    yield f"{named(service)}: {pod.owner} has no port {target}"


def probes(documents):
    """Every probe asks a port that its container has; what runs for ever has all three of them."""
    for document in of_kind(documents, "StatefulSet", "Deployment"):
        for container in document["spec"]["template"]["spec"]["containers"]:
            ports = {p["name"]: p["containerPort"] for p in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if probe is None and ports:
                    yield f"{named(document)}: no {kind}"
                for how in ("httpGet", "tcpSocket"):
                    port = ((probe or {}).get(how) or {}).get("port")
                    if port is not None and port not in ports and port not in ports.values():
                        yield f"{named(document)}: {kind} asks port {port}, which {container['name']} has not"
            for kind, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
                asked = (container.get(kind) or {}).get("httpGet")
                if asked and asked["path"] != path:
                    yield f"{named(document)}: {kind} asks {asked['path']}, want {path}"


def selectors(documents):
    """Workloads select their own pods; budgets select pods; monitors select Services and ports that exist."""
    for document in of_kind(documents, "StatefulSet", "Deployment"):
        labels = document["spec"]["template"]["metadata"]["labels"]
        if not selects(document["spec"]["selector"], labels):
            yield f"{named(document)}: does not select its own pods"
        owners = [p.owner for p in workload_pods(documents) if selects(document["spec"]["selector"], p.labels)]
        if len(owners) > 1:
            yield f"{named(document)}: selects pods of {owners}"
    for document in of_kind(documents, "PodDisruptionBudget"):
        owners = [p.owner for p in workload_pods(documents) if selects(document["spec"]["selector"], p.labels)]
        if len(owners) != 1:
            yield f"{named(document)}: selects pods of {owners}, want those of one workload"
    for document in of_kind(documents, "ServiceMonitor"):
        found = [s for s in of_kind(documents, "Service")
                 if selects(document["spec"]["selector"], s["metadata"].get("labels", {}))]
        if not found:
            yield f"{named(document)}: selects no Service"
        for service in found:
            names = {port.get("name") for port in service["spec"]["ports"]}
            for endpoint in document["spec"]["endpoints"]:
                if endpoint["port"] not in names:
                    yield f"{named(document)}: {named(service)} has no port {endpoint['port']}"


def autoscalers(documents):
    """An autoscaler's target exists, leaves `replicas` to it, and asks for the CPU that it is measured by."""
    for scaler in of_kind(documents, "HorizontalPodAutoscaler"):
        reference = scaler["spec"]["scaleTargetRef"]
        target = find(documents, reference["kind"], reference["name"])
        if target is None:
            yield f"{named(scaler)}: there is no {reference['kind']} {reference['name']}"
            continue
        if "replicas" in target["spec"]:
            yield f"{named(target)}: says replicas, which {named(scaler)} decides"
        if scaler["spec"]["minReplicas"] > scaler["spec"]["maxReplicas"]:
            yield f"{named(scaler)}: the least is more than the most"
        for container in target["spec"]["template"]["spec"]["containers"]:
            if "cpu" not in container.get("resources", {}).get("requests", {}):
                yield f"{named(target)}: {container['name']} requests no CPU, so {named(scaler)} cannot measure it"


def group(documents):
    """The workers can meet: one number of processes, names that resolve, no waiting for each other."""
    for workers in of_kind(documents, "StatefulSet"):
        containers = workers["spec"]["template"]["spec"]["containers"]
        env = {e["name"]: e for c in containers for e in c.get("env", [])}
        if SIZE not in env:
            continue
        spec, owner = workers["spec"], named(workers)
        if env[SIZE].get("value") != str(spec["replicas"]):
            yield f"{owner}: {SIZE} is {env[SIZE].get('value')} with {spec['replicas']} replicas"
        if spec.get("podManagementPolicy") != "Parallel":
            yield f"{owner}: must start its pods in parallel"
        if spec.get("updateStrategy", {}).get("type") != "OnDelete":
            yield f"{owner}: a rolling update would wait for a group that cannot form"
        index = env.get("OPTIBID_INDEX", {}).get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        if index != "metadata.labels['apps.kubernetes.io/pod-index']":
            yield f"{owner}: OPTIBID_INDEX is not the pod's index"
        port = next((p["containerPort"] for c in containers for p in c["ports"] if p["name"] == "timely"), None)
        want = f"{workers['metadata']['name']}-{{index}}.{spec['serviceName']}:{port}"
        if env.get(HOSTS, {}).get("value") != want:
            yield f"{owner}: {HOSTS} is {env.get(HOSTS, {}).get('value')}, want {want}"
        if not env.get("OPTIBID__PIPELINE__WORKERS", {}).get("value", "0").strip("0"):
            yield f"{owner}: the number of workers is left to each node"
        service = find(documents, "Service", spec["serviceName"])
        if service is None:
            yield f"{owner}: there is no Service {spec['serviceName']}"
        elif service["spec"].get("clusterIP") != "None" or not service["spec"].get("publishNotReadyAddresses"):
            yield f"{named(service)}: must be headless and publish addresses before they are ready"
        return
    yield f"no StatefulSet has {SIZE}"


def security(documents):
    """Non-root, read-only, without privileges, without a token, with bounds on what it takes."""
    for pod in workload_pods(documents):
        spec, context = pod.spec, pod.spec.get("securityContext", {})
        wants = [
            (context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0, "may run as root"),
            (context.get("seccompProfile", {}).get("type") == "RuntimeDefault", "has no seccomp profile"),
            (spec.get("automountServiceAccountToken") is False, "mounts a service account's token"),
            (not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), "shares the host's namespaces"),
            (not any("hostPath" in v for v in spec.get("volumes", [])), "mounts a folder of the host"),
            (all("sizeLimit" in v["emptyDir"] for v in spec.get("volumes", []) if "emptyDir" in v),
             "has scratch without a limit"),
        ]
        for container in pod.containers():
            own, resources = container.get("securityContext", {}), container.get("resources", {})
            image = container["image"].rpartition("/")[2]
            wants += [
                (own.get("allowPrivilegeEscalation") is False, "may gain privileges"),
                (own.get("readOnlyRootFilesystem") is True, "may write to its image"),
                (own.get("capabilities") == {"drop": ["ALL"]}, "keeps capabilities"),
                ({"cpu", "memory"} <= set(resources.get("requests", {})), "requests no CPU or memory"),
                ("memory" in resources.get("limits", {}), "has no limit on memory"),
                (":" in image and not image.endswith(":latest"), f"runs {container['image']}, which is no version"),
            ]
        yield from (f"{pod.owner}: {complaint}" for held, complaint in wants if not held)


def configuration(documents):
    """Commands, variables and configuration files are ones that OptiBid knows."""
    for config in of_kind(documents, "ConfigMap"):
        for key, text in (config.get("data") or {}).items():
            if key.endswith(".toml"):
                for path in settings.unknown_keys(tomllib.loads(text)):
                    yield f"{named(config)}: {key}: there is no setting {path}"
    for pod in workload_pods(documents):
        if not pod.ours:
            continue
        for container in pod.containers():
            args = container.get("args", [])
            if "command" in container or not args or args[0] not in settings.COMMANDS:
                yield f"{pod.owner}: {args} is no command of optibid"
            path = args[args.index("--config") + 1] if "--config" in args[:-1] else None
            if path not in config_files(documents, pod, container):
                yield f"{pod.owner}: no file {path} is mounted"
            for entry in container.get("env", []):
                if complaint := settings.unknown_variable(entry["name"]):
                    yield f"{pod.owner}: {complaint}"
            names = [entry["name"] for entry in container.get("env", [])]
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield f"{pod.owner}: {name} is set twice"


def config_files(documents, pod, container):
    there = provided(documents)
    sources = {v["name"]: v["configMap"]["name"] for v in pod.spec.get("volumes", []) if "configMap" in v}
    for mount in container.get("volumeMounts", []):
        for key in there.get(("ConfigMap", sources.get(mount["name"])), ()):
            yield f"{mount['mountPath']}/{key}"


# ---- network policies ----

class Outside:
    """A peer that is not a pod of these manifests."""

    def __init__(self, owner, namespace=None, labels=None, address=None):
        self.owner, self.namespace, self.labels, self.address = owner, namespace or {}, labels or {}, address


def peer_matches(peer, other):
    if "ipBlock" in peer:
        if not isinstance(other, Outside) or other.address is None:
            return False
        address, block = ipaddress.ip_address(other.address), peer["ipBlock"]
        refused = any(address in ipaddress.ip_network(cidr) for cidr in block.get("except", []))
        return address in ipaddress.ip_network(block["cidr"]) and not refused
    if isinstance(other, Pod):
        return "namespaceSelector" not in peer and selects(peer["podSelector"], other.labels)
    return other.address is None and "namespaceSelector" in peer \
        and selects(peer["namespaceSelector"], other.namespace) and selects(peer.get("podSelector", {}), other.labels)


def way_is_open(documents, direction, pod, other, port, protocol):
    """Whether the policies that select `pod` let this through; all is let through when none does."""
    peers = "from" if direction == "Ingress" else "to"
    policies = [p for p in of_kind(documents, "NetworkPolicy")
                if direction in p["spec"]["policyTypes"] and selects(p["spec"]["podSelector"], pod.labels)]
    if not policies:
        return True
    for policy in policies:
        for rule in policy["spec"].get(direction.lower(), []):
            ports = [(entry.get("port"), entry.get("protocol", "TCP")) for entry in rule.get("ports", [])]
            if ports and (port, protocol) not in ports:
                continue
            if not rule.get(peers) or any(peer_matches(peer, other) for peer in rule[peers]):
                return True
    return False


def is_open(documents, source, target, port, protocol="TCP"):
    return (isinstance(source, Outside) or way_is_open(documents, "Egress", source, target, port, protocol)) and \
        (isinstance(target, Outside) or way_is_open(documents, "Ingress", target, source, port, protocol))


def network(documents):
    """Policies select pods and name their ports; what must pass passes, and what need not does not."""
    pods = all_pods(documents)
    for policy in of_kind(documents, "NetworkPolicy"):
        spec, owner = policy["spec"], named(policy)
        if not any(selects(spec["podSelector"], pod.labels) for pod in pods):
            yield f"{owner}: selects no pods"
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            for peer in rule.get("from", rule.get("to", [])):
                if "podSelector" in peer and "namespaceSelector" not in peer \
                        and not any(selects(peer["podSelector"], pod.labels) for pod in pods):
                    yield f"{owner}: a rule selects no pods"
    by_component = {p.labels.get(COMPONENT): p for p in pods if p.ours}
    worker, api, migrate = (by_component.get(key) for key in ("worker", "api", "migrate"))
    if None in (worker, api, migrate):
        yield "no worker, no API or no migration"
        return
    dns = Outside("DNS", {"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"})
    prometheus = Outside("Prometheus", {"kubernetes.io/metadata.name": "monitoring"})
    client = Outside("a client", {"optibid.io/client": "true"})
    stranger = Outside("a stranger", {"kubernetes.io/metadata.name": "default"})
    internet = Outside("the internet", address="203.0.113.9")
    metadata = Outside("the node's metadata", address="169.254.169.254")

    must = [(pod, dns, 53, "UDP") for pod in by_component.values()]
    must += [(worker, worker, 2101, "TCP"), (prometheus, worker, 8000, "TCP"), (prometheus, api, 8000, "TCP"),
             (client, api, 8000, "TCP"), (client, api, 5433, "TCP")]
    stores = dict(store_addresses(documents))
    for pod in by_component.values():
        for what in sorted(addresses_in_use(pod)):
            must += [(pod, target, port, "TCP") for target, port in stores[what]]
    for source, target, port, protocol in must:
        if not is_open(documents, source, target, port, protocol):
            yield f"no way from {source.owner} to {target.owner} port {port}"

    must_not = [(api, worker, 2101), (migrate, worker, 2101), (stranger, worker, 8000), (stranger, api, 8000),
                (stranger, worker, 2101), (client, worker, 2101), (client, migrate, 8000),
                (worker, internet, 22), (api, metadata, 80), (worker, metadata, 443)]
    guarded = [pod for pod in pods if not pod.ours and pod.spec]  # stores without an operator's policies
    must_not += [(stranger, pod, port) for pod in guarded for port in pod.ports.values()]
    for target, port in [*stores["REDIS_URL"], *stores["DATABASE_URL"]]:
        must_not.append((api, target, port))
    for source, target, port in must_not:
        if is_open(documents, source, target, port):
            yield f"{source.owner} can reach {target.owner} port {port}, and has no business there"


ADDRESSES = {"KAFKA_BOOTSTRAP_SERVERS", "CLICKHOUSE_HOST", "DATABASE_URL", "REDIS_URL", "OPTIBID__SINKS__HISTORY__ROOT"}


def addresses_in_use(pod):
    return {entry["name"] for container in pod.containers() for entry in container.get("env", [])} & ADDRESSES


def store_addresses(documents):
    """{variable: [(pod or outside, port)]}: from the addresses where they are readable, else where stores usually are."""
    hosts = service_hosts(documents)
    outside = Outside("a store", address="10.1.2.3")
    addresses = next((d["data"] for d in of_kind(documents, "ConfigMap")
                      if d["metadata"]["name"].startswith("optibid-addresses")), {})

    def resolve(text, usual):
        host, _, port = text.rpartition("://")[2].rpartition("/")[2].partition(":")
        return [(pod, int(port or usual)) for pod in hosts.get(host, [outside])]

    for name, usual in (("KAFKA_BOOTSTRAP_SERVERS", 9092), ("CLICKHOUSE_HOST", 8123)):
        yield name, [pair for text in addresses.get(name, "").split(",") if text for pair in resolve(text, usual)]
    endpoint = addresses.get("AWS_ENDPOINT_URL")
    bucket = resolve(endpoint, 443) if endpoint else [(Outside("the bucket", address="198.51.100.7"), 443)]
    yield "OPTIBID__SINKS__HISTORY__ROOT", bucket
    redis = (find(documents, "Secret", "optibid-stores") or {}).get("data", {}).get("redis-url")
    yield "REDIS_URL", resolve(base64.b64decode(redis).decode().removesuffix("/0"), 6379) if redis else [(outside, 6379)]
    yield "DATABASE_URL", [(pod, 5432) for pod in hosts.get("optibid-postgres-rw", [outside])]


def names(documents):
    """Nothing is there twice, and everything is in one namespace."""
    seen = set()
    for document in documents:
        key = (document["apiVersion"], named(document))
        if key in seen:
            yield f"{named(document)}: is there twice"
        seen.add(key)
    spaces = {d["metadata"].get("namespace") for d in documents if d["kind"] != "Namespace"}
    own = {d["metadata"]["name"] for d in of_kind(documents, "Namespace")}
    if spaces != own:
        yield f"namespaces {sorted(map(str, spaces))}, want {sorted(own)}"


CHECKS = (names, references, mounts, services, probes, selectors, autoscalers, group, security, configuration, network)


def problems(documents):
    """What is wrong, a line each."""
    return [f"{check.__name__}: {line}" for check in CHECKS for line in dict.fromkeys(check(documents))]
