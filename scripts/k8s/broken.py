"""Manifests broken on purpose: proof that every check can fail. Each case breaks the rendered manifests in one place
and names the words of the complaint that must follow."""

import copy

import manifests
import schemas

WORKER, API = ("StatefulSet", "optibid-worker"), ("Deployment", "optibid-api")


def get(documents, kind, name):
    document = manifests.find(documents, kind, name)
    assert document is not None, f"no {kind} {name} to break"
    return document


def container(documents, kind, name):
    return get(documents, kind, name)["spec"]["template"]["spec"]["containers"][0]


def variable(documents, kind, name, key):
    return next(entry for entry in container(documents, kind, name)["env"] if entry["name"] == key)


def generated(documents, prefix):
    return next(d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"].startswith(prefix))


def put(**values):
    """A change to make to a dictionary: `key=None` takes the key out."""
    def change(target):
        for key, value in values.items():
            if value is None:
                del target[key]
            else:
                target[key] = value
    return change


def pod_spec(name=WORKER):
    return lambda d: get(d, *name)["spec"]["template"]["spec"]


def spec(kind, name):
    return lambda d: get(d, kind, name)["spec"]


def first(name=WORKER):
    return lambda d: container(d, *name)


def of(where, change):
    return lambda documents: change(where(documents))


def drop(kind, name):
    return lambda d: d.remove(get(d, kind, name))


# (what is broken, overlay, how, words of the complaint)
CASES = [
    # schemas
    ("an unknown field", "dev", of(pod_spec(), put(readOnlyRootFilesytem=True)), "readOnlyRootFilesytem"),
    ("text where a number belongs", "dev", of(spec(*WORKER), put(replicas="two")), "'two'"),
    ("a variable that is a number", "prod",
     lambda d: variable(d, *WORKER, "OPTIBID_PROCESSES").update(value=3), "3 is not of type"),
    ("a kind without a schema", "dev", lambda d: d[0].update(kind="Deploymend"), "no schema"),
    ("an unknown field of Strimzi's", "dev", of(spec("Kafka", "optibid"), put(zookeeper={})), "'zookeeper'"),
    ("an unknown role of Strimzi's", "dev", of(spec("KafkaNodePool", "combined"), put(roles=["zookeeper"])),
     "'zookeeper' is not one of"),
    ("an old version of Strimzi's", "dev", lambda d: get(d, "Kafka", "optibid").update(apiVersion="kafka.strimzi.io/v1beta2"),
     "'kafka.strimzi.io/v1' was expected"),
    ("a topic with half a partition", "dev", of(spec("KafkaTopic", "optibid.bids"), put(partitions=0.5)), "0.5"),
    ("PostgreSQL without storage size", "dev", of(spec("Cluster", "optibid-postgres"), put(storage={"sise": "1Gi"})), "'sise'"),
    ("an unknown field of Altinity's", "dev", of(spec("ClickHouseInstallation", "optibid"), put(config={})), "'config'"),
    ("a monitor without endpoints", "prod", of(spec("ServiceMonitor", "optibid-api"), put(endpoints=None)), "'endpoints'"),
    ("a secret without its source", "prod",
     lambda d: get(d, "ExternalSecret", "optibid-stores")["spec"]["data"][0].pop("remoteRef"), "'remoteRef'"),
    # names
    ("a document twice", "prod", lambda d: d.append(copy.deepcopy(d[-1])), "is there twice"),
    ("another namespace", "prod", lambda d: d[-1]["metadata"].update(namespace="default"), "names: namespaces"),
    # references
    ("no ConfigMap", "dev", lambda d: d.remove(generated(d, "optibid-addresses")), "there is no ConfigMap optibid-addresses"),
    ("no key in a ConfigMap", "prod", lambda d: generated(d, "optibid-addresses")["data"].pop("CLICKHOUSE_HOST"),
     "has no key CLICKHOUSE_HOST"),
    ("no Secret", "prod", drop("ExternalSecret", "optibid-stores"), "there is no Secret optibid-stores"),
    ("no key in a Secret", "prod", lambda d: get(d, "ExternalSecret", "optibid-stores")["spec"]["data"].pop(0),
     "has no key database-url"),
    ("no Secret of PostgreSQL's operator", "dev", drop("Cluster", "optibid-postgres"), "there is no Secret optibid-postgres-app"),
    ("no Secret for ClickHouse", "dev", lambda d: get(d, "Secret", "optibid-stores")["data"].pop("clickhouse-password"),
     "ClickHouseInstallation/optibid: Secret optibid-stores has no key clickhouse-password"),
    ("no configuration", "dev", lambda d: d.remove(generated(d, "optibid-config")), "there is no ConfigMap optibid-config"),
    ("no Secret to take all variables from", "dev", of(first(), put(envFrom=[{"secretRef": {"name": "x"}}])), "there is no Secret x"),
    ("no Secret to mount", "dev",
     lambda d: pod_spec()(d)["volumes"].append({"name": "keys", "secret": {"secretName": "x"}}), "there is no Secret x"),
    ("no ServiceAccount", "dev", drop("ServiceAccount", "optibid"), "there is no ServiceAccount"),
    # mounts
    ("no volume", "dev", lambda d: pod_spec()(d)["volumes"].pop(), "volume tmp is not there"),
    ("an idle volume", "dev", lambda d: first()(d)["volumeMounts"].pop(), "volume tmp is not mounted"),
    # services
    ("a Service of nobody", "prod", of(spec("Service", "optibid-api"), put(selector={"app": "optibid"})), "selects pods of []"),
    ("a Service of everybody", "prod",
     of(spec("Service", "optibid-api"), put(selector={"app.kubernetes.io/name": "optibid"})), "want those of one workload"),
    ("a Service's port", "prod", lambda d: spec("Service", "optibid-api")(d)["ports"][0].update(targetPort="web"), "has no port web"),
    # probes
    ("a probe's port", "prod", lambda d: first(API)(d)["livenessProbe"]["httpGet"].update(port=8080), "asks port 8080"),
    ("a probe's path", "prod", lambda d: first(API)(d)["readinessProbe"]["httpGet"].update(path="/health"), "asks /health"),
    ("no probe", "prod", of(first(), put(startupProbe=None)), "no startupProbe"),
    ("no probe of Redis", "dev", lambda d: container(d, "StatefulSet", "optibid-redis").pop("livenessProbe"), "no livenessProbe"),
    # selectors
    ("a workload of other pods", "dev", of(spec(*API), put(selector={"matchLabels": {"app": "x"}})), "does not select its own pods"),
    ("a workload of all pods", "dev",
     of(spec(*API), put(selector={"matchLabels": {"app.kubernetes.io/name": "optibid"}})), "selects pods of ["),
    ("a budget of nobody", "dev",
     of(spec("PodDisruptionBudget", "optibid-api"), put(selector={"matchLabels": {"app": "x"}})), "selects pods of []"),
    ("a monitor of nothing", "dev",
     of(spec("ServiceMonitor", "optibid-api"), put(selector={"matchLabels": {"app": "x"}})), "selects no Service"),
    ("a monitor's port", "dev",
     lambda d: spec("ServiceMonitor", "optibid-api")(d)["endpoints"][0].update(port="metrics"), "has no port metrics"),
    # autoscalers
    ("an autoscaler of nothing", "dev",
     lambda d: spec("HorizontalPodAutoscaler", "optibid-api")(d)["scaleTargetRef"].update(name="optibid-ap"),
     "there is no Deployment optibid-ap"),
    ("replicas beside an autoscaler", "dev", of(spec(*API), put(replicas=2)), "says replicas"),
    ("an autoscaler without a measure", "dev", lambda d: first(API)(d)["resources"]["requests"].pop("cpu"), "requests no CPU, so"),
    ("the least above the most", "dev",
     of(spec("HorizontalPodAutoscaler", "optibid-api"), put(minReplicas=9)), "the least is more than the most"),
    # group
    ("two sizes of the group", "prod", of(spec(*WORKER), put(replicas=5)), "OPTIBID_PROCESSES is 3 with 5 replicas"),
    ("workers one after the other", "prod", of(spec(*WORKER), put(podManagementPolicy="OrderedReady")), "in parallel"),
    ("a rolling update of the group", "prod", of(spec(*WORKER), put(updateStrategy={"type": "RollingUpdate"})), "rolling update"),
    ("hosts of another name", "prod",
     lambda d: variable(d, *WORKER, "OPTIBID_HOSTS").update(value="worker-{index}.optibid-workers:2101"), "OPTIBID_HOSTS is"),
    ("an index that is a name", "prod",
     lambda d: variable(d, *WORKER, "OPTIBID_INDEX")["valueFrom"]["fieldRef"].update(fieldPath="metadata.name"), "not the pod's index"),
    ("workers by the node's cores", "prod",
     lambda d: variable(d, *WORKER, "OPTIBID__PIPELINE__WORKERS").update(value="0"), "left to each node"),
    ("names that come too late", "prod", of(spec("Service", "optibid-workers"), put(publishNotReadyAddresses=None)), "before they are ready"),
    ("no name for the group", "prod", drop("Service", "optibid-workers"), "there is no Service optibid-workers"),
    ("no group at all", "prod", drop(*WORKER), "no StatefulSet has OPTIBID_PROCESSES"),
    # security
    ("root", "prod", lambda d: pod_spec()(d)["securityContext"].update(runAsUser=0), "may run as root"),
    ("no seccomp profile", "prod", lambda d: pod_spec()(d)["securityContext"].pop("seccompProfile"), "seccomp"),
    ("a token", "prod", of(pod_spec(API), put(automountServiceAccountToken=None)), "token"),
    ("the host's network", "prod", of(pod_spec(API), put(hostNetwork=True)), "host's namespaces"),
    ("the host's disk", "prod", lambda d: pod_spec(API)(d)["volumes"][1].update(hostPath={"path": "/"}), "folder of the host"),
    ("scratch without a limit", "prod", lambda d: pod_spec(API)(d)["volumes"][1].update(emptyDir={}), "scratch"),
    ("privileges", "prod", lambda d: first()(d)["securityContext"].pop("allowPrivilegeEscalation"), "gain privileges"),
    ("a root that can be written", "prod",
     lambda d: first()(d)["securityContext"].update(readOnlyRootFilesystem=False), "may write to its image"),
    ("capabilities", "prod", lambda d: first()(d)["securityContext"].update(capabilities={"drop": ["NET_RAW"]}), "capabilities"),
    ("no requests", "prod", lambda d: container(d, "Job", "optibid-migrate")["resources"].pop("requests"), "requests no CPU or memory"),
    ("no limit", "prod", lambda d: container(d, "Job", "optibid-migrate")["resources"].pop("limits"), "no limit on memory"),
    ("no version", "prod", of(first(), put(image="optibid")), "no version"),
    ("the latest version", "dev", of(first(), put(image="localhost:5000/optibid:latest")), "no version"),
    # configuration
    ("an unknown command", "prod", of(first(), put(args=["work", "--config", "/etc/optibid/optibid.toml"])), "no command"),
    ("no such configuration file", "prod", of(first(), put(args=["run", "--config", "/etc/optibid/config.toml"])), "is mounted"),
    ("an unknown setting", "prod", lambda d: first()(d)["env"].append({"name": "OPTIBID__SINKS__REDIS__URI", "value": "x"}),
     "there is no setting sinks.redis.uri"),
    ("a misspelt variable", "prod", lambda d: first()(d)["env"].append({"name": "OPTIBID_PROCESES", "value": "3"}), "nothing reads"),
    ("a variable twice", "prod", lambda d: first()(d)["env"].append({"name": "AWS_REGION", "value": "x"}), "AWS_REGION is set twice"),
    ("an unknown key of the file", "prod",
     lambda d: generated(d, "optibid-config")["data"].update({"optibid.toml": "[sinks.kafka]\nenable = true\n"}),
     "there is no setting sinks.kafka.enable"),
    # network
    ("a policy of nobody", "dev", of(spec("NetworkPolicy", "redis"), put(podSelector={"matchLabels": {"app": "x"}})),
     "NetworkPolicy/redis: selects no pods"),
    ("a way to nobody", "dev",
     lambda d: spec("NetworkPolicy", "redis")(d)["ingress"][0]["from"][0]["podSelector"].update(matchLabels={"app": "x"}),
     "a rule selects no pods"),
    ("no migration", "prod", drop("Job", "optibid-migrate"), "no worker, no API or no migration"),
    ("no DNS", "prod", drop("NetworkPolicy", "optibid-dns"), "to DNS port 53"),
    ("no way between workers", "prod", drop("NetworkPolicy", "optibid-worker-peers"), "port 2101"),
    ("no way to Kafka", "prod", drop("NetworkPolicy", "optibid-to-kafka"), "port 9092"),
    ("another port of Kafka", "dev", lambda d: generated(d, "optibid-addresses")["data"].update(
        KAFKA_BOOTSTRAP_SERVERS="optibid-kafka-bootstrap:9093"), "port 9093"),
    ("no such host of ClickHouse", "dev", lambda d: generated(d, "optibid-addresses")["data"].update(
        CLICKHOUSE_HOST="http://clickhouse:8123"), "to a store port 8123"),
    ("no such host of Redis", "dev", lambda d: get(d, "Secret", "optibid-stores")["data"].update(
        {"redis-url": "cmVkaXM6Ly9yZWRpczo2Mzc5LzA="}), "to a store port 6379"),
    ("no way to PostgreSQL", "dev", lambda d: spec("NetworkPolicy", "optibid-to-databases")(d)["egress"].pop(0), "port 5432"),
    ("no way to the bucket", "prod", drop("NetworkPolicy", "optibid-to-objects"), "the bucket port 443"),
    ("no way to the object store", "dev", drop("NetworkPolicy", "optibid-to-objects"), "port 8333"),
    ("no way for Prometheus", "dev", drop("NetworkPolicy", "optibid-scrape"), "from Prometheus"),
    ("no way for clients", "dev", drop("NetworkPolicy", "optibid-api-clients"), "from a client"),
    ("everything let in", "prod", lambda d: spec("NetworkPolicy", "optibid-scrape")(d).update(ingress=[{}]), "a stranger can reach"),
    ("everything let out", "prod", lambda d: spec("NetworkPolicy", "optibid-dns")(d).update(egress=[{}]), "the internet port 22"),
    ("a store for everybody", "dev", drop("NetworkPolicy", "redis"), "a stranger can reach StatefulSet/optibid-redis"),
    ("the API at Redis", "dev",
     lambda d: spec("NetworkPolicy", "optibid-to-redis")(d)["podSelector"]["matchLabels"].pop("app.kubernetes.io/component")
     and spec("NetworkPolicy", "redis")(d)["ingress"][0]["from"][0]["podSelector"]["matchLabels"].pop("app.kubernetes.io/component"),
     "Deployment/optibid-api can reach StatefulSet/optibid-redis"),
]


def run(rendered):
    """`rendered`: overlay → documents. Returns how many cases held, and a line for each that did not."""
    failures = []
    for what, overlay, change, words in CASES:
        documents = copy.deepcopy(rendered[overlay])
        change(documents)
        changed = [document for document in documents if document not in rendered[overlay]]
        found = schemas.problems(changed) or manifests.problems(documents)
        if not any(words in line for line in found):
            failures.append(f"{what}: nobody complained of {words!r}; found {found}")
    return len(CASES) - len(failures), failures


def run_compose(problems):
    """The same for compose.yaml: a line for each break that nobody complained of."""
    good = {"services": {"optibid": {"environment": {}}, "redis": {}}, "volumes": {}}
    breaks = {
        "never says": {"depends_on": {"redis": {}}},
        "no volume": {"volumes": ["data:/data"]},
        "open to others": {"ports": ["8000:8000"]},
        "nothing reads": {"environment": {"REDIS_URI": "x"}},
    }
    failures = []
    for words, change in breaks.items():
        compose = copy.deepcopy(good)
        compose["services"]["optibid"].update(change)
        if not any(words in line for line in problems(compose)):
            failures.append(f"compose.yaml: nobody complained of {words!r}")
    assert not list(problems(good))
    return failures
