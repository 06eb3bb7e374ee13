"""What must agree in the manifests of the Helm chart: with each other, with the settings, and with the processes."""

import http.client
import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from compose.healthcheck import REPORTING
from compose.procfile import read_procfile
from shared.config.settings import Settings, load_settings
from shared.decoder.sandbox import MEMORY_BYTES
from shared.errors import StartupError
from shared.outgoing.addresses import PORTS as PORTS_OF_URLS
from tests.helm.chart import EXISTING, RELEASE, SETS, VALUES, Manifest, helm, rendering
from tests.image.build import configuration
from tests.limits import limit_s
from tests.stack import PROJECT, Stack

PORTS: Final = {
    "web": Settings().server.http_port,
    "websocket": Settings().websocket_port,
    "tcp": Settings().tcp_port,
    "health": Settings().server.health_port,
    "flower": Settings().flower.port,
}
CLUSTER_AUTOSCALER_S: Final = 600
"""Its default for `--max-graceful-termination-sec`, after which it kills pods."""
PORTLESS: Final = {"worker", "webhooks"}
EACH_SET: Final = pytest.mark.parametrize("name", SETS)


def variables(name: str, process: str) -> dict[str, str]:
    """The variables of a process in its pod, those of the image included; secrets have an example."""
    examples = {"REDIS_URL": "redis://redis", "REDIS_BROKER_URL": "redis://queues", "HF_TOKEN": "hf"}
    examples |= {"VOXTRAL_FLOWER__BASIC_AUTH": "user:password", "VOXTRAL_WEBHOOKS__SECRET": "whsec_"}
    image = configuration("cuda" if process == "worker" and name != "default" else "cpu")
    own = rendering(name).container(process)["env"]
    return image.env | {one["name"]: one.get("value") or examples[one["name"]] for one in own}


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def pods(name: str) -> Iterator[tuple[dict[str, str], Manifest]]:
    """Labels and specification of each pod."""
    for found in rendering(name).of("Deployment").values():
        template = found["spec"]["template"]
        yield template["metadata"]["labels"], template["spec"]


@EACH_SET
def test_selectors_select_the_pods_of_one_process(name: str) -> None:
    found = rendering(name)
    for kind in ("Deployment", "PodDisruptionBudget", "Service", "NetworkPolicy"):
        for title, manifest in found.of(kind).items():
            spec = manifest["spec"]
            selector = spec.get("selector", spec.get("podSelector"))
            selected = [pod for labels, pod in pods(name) if matches(selector.get("matchLabels", selector), labels)]
            assert len(selected) == (len(found.processes) if title == RELEASE else 1), (kind, title)
            if kind == "Service":
                [port] = spec["ports"]
                [container] = selected[0]["containers"]
                assert port["targetPort"] in [one["name"] for one in container["ports"]]
    for process in found.processes:
        budget = found.of("PodDisruptionBudget")[f"{RELEASE}-{process}"]["spec"]
        assert budget["maxUnavailable"] == 1


@EACH_SET
def test_every_process_gets_both_addresses_of_redis(name: str) -> None:
    found = rendering(name)
    for process in found.processes:
        own = {
            one["name"]: one["valueFrom"]["secretKeyRef"]
            for one in found.container(process)["env"]
            if "valueFrom" in one
        }
        assert own["REDIS_URL"]["key"] == "url"
        assert (own["REDIS_BROKER_URL"]["key"], own["REDIS_BROKER_URL"]["optional"]) == ("broker-url", True)
    if name == "everything":
        [secret] = [one["stringData"] for one in found.of("Secret").values() if "url" in one["stringData"]]
        assert secret == {"url": "redis+cluster://r1,r2,r3", "broker-url": "redis+sentinel://s1,s2/mymaster"}


def test_pods_restart_if_an_address_of_redis_changes() -> None:
    addresses = [("redis://a", ""), ("redis://b", ""), ("redis://a", "redis://c"), ("redis://a", "redis://d")]
    answers = helm([{"redis": {"url": url, "brokerUrl": broker_url}} for url, broker_url in addresses])
    workers = [
        yaml.safe_load(answer["rendered"]["voxtral/templates/worker.yaml"].split("---")[0]) for answer in answers
    ]
    assert len({pod["spec"]["template"]["metadata"]["annotations"]["checksum/redis"] for pod in workers}) == 4


@EACH_SET
def test_everything_that_a_pod_names_exists(name: str) -> None:
    found = rendering(name)
    secrets = found.of("Secret").keys() | EXISTING
    for _, pod in pods(name):
        assert pod["serviceAccountName"] in found.of("ServiceAccount")
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        [container] = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
        for volume in volumes.values():
            assert volume.get("configMap", {"name": RELEASE})["name"] in found.of("ConfigMap")
            assert volume.get("secret", {"secretName": "flower"})["secretName"] in secrets
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or claim["claimName"] in found.of("PersistentVolumeClaim")
        for variable in container["env"]:
            if "valueFrom" in variable:
                assert variable["valueFrom"]["secretKeyRef"]["name"] in secrets
    for secret in found.of("Secret").values():
        assert secret["stringData"].keys() <= {"url", "broker-url", "keys.yaml"}


def test_ingress_and_monitor_name_ports_of_services() -> None:
    found = rendering("everything")
    [ingress] = found.of("Ingress").values()
    hosts = {}
    for rule in ingress["spec"]["rules"]:
        [path] = rule["http"]["paths"]
        service = path["backend"]["service"]
        hosts[rule["host"]] = service["name"]
        assert service["port"]["name"] in [
            port["name"] for port in found.of("Service")[service["name"]]["spec"]["ports"]
        ]
    assert hosts == {"voice.example": "voxtral-web", "ws.voice.example": "voxtral-websocket"}
    [tls] = ingress["spec"]["tls"]
    assert set(tls["hosts"]) == hosts.keys()
    annotations = ingress["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/proxy"
    assert int(annotations[f"{prefix}-read-timeout"]) > Settings().session.idle_timeout_s
    assert annotations[f"{prefix}-buffering"] == annotations[f"{prefix}-request-buffering"] == "off"
    assert int(annotations[f"{prefix}-body-size"].removesuffix("m")) * 2**20 == Settings().server.max_upload_bytes
    [monitor] = found.of("ServiceMonitor").values()
    selected = [one for one in found.of("Service").values() if matches(_selector(monitor), one["metadata"]["labels"])]
    assert [[port["name"] for port in one["spec"]["ports"]] for one in selected] == [["health"]]
    assert monitor["spec"]["endpoints"][0]["port"] == "health"
    jobs = {one["metadata"]["labels"][monitor["spec"]["jobLabel"]] for one in selected}
    assert jobs == set(re.findall(r'job="([^"]*)"', (PROJECT / "compose/grafana/alerts.yaml").read_text()))


def _selector(manifest: Manifest) -> dict[str, str]:
    selector: dict[str, str] = manifest["spec"]["selector"]["matchLabels"]
    return selector


@EACH_SET
def test_processes_start_with_their_settings(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rendering(name)
    written = found.of("ConfigMap")[RELEASE]["data"]["config.yaml"]
    (tmp_path / "config.yaml").write_text(written)
    commands = {program.name: list(program.command) for program in read_procfile(PROJECT / "Procfile")}
    for process in found.processes:
        with monkeypatch.context() as pod:
            for variable, value in variables(name, process).items():
                pod.setenv(variable, value)
            mount = next(one for one in found.container(process)["volumeMounts"] if one["name"] == "config")
            assert variables(name, process)["VOXTRAL_CONFIG"] == f"{mount['mountPath']}/config.yaml"
            pod.setenv("VOXTRAL_CONFIG", str(tmp_path / "config.yaml"))
            settings = load_settings.__wrapped__()
        assert found.container(process)["command"] == commands[process]
        assert settings.server.host == ("::" if name == "everything" else "0.0.0.0")
        _check(settings, process)
        for section, keys in yaml.safe_load(written).items():
            own = settings.model_dump(mode="json")[section]
            kept = keys.items() if (process, section) != ("health", "server") else ()
            assert {key: own[key] for key, _ in kept} == dict(kept)


def _check(settings: Settings, process: str) -> None:
    ports = {
        "web": settings.server.http_port,
        "websocket": settings.websocket_port,
        "tcp": settings.tcp_port,
        "health": settings.server.health_port,
        "flower": settings.flower.port,
    }
    assert ports == PORTS
    for folder in (settings.logs.dir, settings.redis.data_dir):
        assert str(folder).startswith("/data/")
    if process == "health":
        assert settings.server.hosts == ("*",)
    if process == "webhooks":
        assert settings.webhooks.enabled
        assert settings.webhooks.secret is not None


@EACH_SET
def test_ports_are_those_of_the_settings(name: str) -> None:
    found = rendering(name)
    for process in set(found.processes) - PORTLESS:
        [port] = found.container(process)["ports"]
        assert port["containerPort"] == PORTS[process]
        [published] = found.of("Service")[f"{RELEASE}-{process}"]["spec"]["ports"]
        assert published["port"] == PORTS[process]
        ingress = found.of("NetworkPolicy")[f"{RELEASE}-{process}"]["spec"]["ingress"]
        assert [port["port"] for rule in ingress for port in rule["ports"]] == [PORTS[process]]
    assert not any("ports" in found.container(process) for process in PORTLESS & set(found.processes))


def rules(name: str, process: str, kind: str) -> list[dict[str, Any]]:
    """The connections to or from a pod that the policies which select it permit together; all others are dropped."""
    found = rendering(name)
    labels = found.of("Deployment")[f"{RELEASE}-{process}"]["spec"]["template"]["metadata"]["labels"]
    specs = [policy["spec"] for policy in found.of("NetworkPolicy").values()]
    selecting = [
        spec
        for spec in specs
        if kind.title() in spec["policyTypes"] and matches(spec["podSelector"]["matchLabels"], labels)
    ]
    assert selecting, "without a policy, all connections are permitted"
    return [rule for spec in selecting for rule in spec.get(kind, ())]


@EACH_SET
def test_pods_accept_connections_of_their_clients_only(name: str) -> None:
    policy = VALUES["networkPolicy"] | SETS[name].get("networkPolicy", {})
    for process in rendering(name).processes:
        ingress = rules(name, process, "ingress")
        if process in PORTLESS:
            assert ingress == []
        else:
            peers = policy["operators" if process in ("health", "flower") else "clients"]
            assert ingress == [{"ports": [{"port": PORTS[process]}], **({"from": peers} if peers else {})}]


@EACH_SET
def test_pods_open_only_the_connections_that_they_need(name: str) -> None:
    policy = VALUES["networkPolicy"] | SETS[name].get("networkPolicy", {})
    has_urls = SETS[name].get("config", {}).get("server", {}).get("recording_urls", False)
    own = {"worker": {443}, "webhooks": PORTS_OF_URLS, "web": PORTS_OF_URLS if has_urls else set()}
    for process in rendering(name).processes:
        egress = rules(name, process, "egress")
        assert [rule for rule in egress if "to" in rule] == policy["egress"]
        ports = {(port["port"], port.get("protocol", "TCP")) for rule in egress for port in rule["ports"]}
        more = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
        tcp = {53, *policy["redisPorts"], *more, *own.get(process, ())}
        assert ports == {(53, "UDP"), *((port, "TCP") for port in tcp)}, process


@EACH_SET
def test_pods_have_least_privilege(name: str) -> None:
    for _, pod in pods(name):
        assert not pod["automountServiceAccountToken"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert str(pod["securityContext"]["runAsUser"]) == configuration("cpu").user
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_a_frontend_has_memory_for_all_decoders() -> None:
    limit = rendering("default").container("web")["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Gi")) * 2**30 > Settings().audio.decoders * MEMORY_BYTES


def test_variables_of_services_would_stop_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXTRAL_WEB_SERVICE_HOST", "10.0.0.7")  # as Kubernetes sets it for the Service voxtral-web
    with pytest.raises(StartupError, match="VOXTRAL_WEB_SERVICE_HOST"):
        load_settings.__wrapped__()
    for name in SETS:
        assert not any(pod["enableServiceLinks"] for _, pod in pods(name))


@EACH_SET
def test_a_worker_has_time_to_hand_over(name: str) -> None:
    found = rendering(name)
    drain_s = yaml.safe_load(found.of("ConfigMap")[RELEASE]["data"]["config.yaml"])["session"]["drain_timeout_s"]
    command = found.container("worker")["lifecycle"]["preStop"]["exec"]["command"]
    wanted_s = SETS[name].get("worker", {}).get("successorSeconds", VALUES["worker"]["successorSeconds"])
    assert command == ["python", "-m", "compose.successor", str(wanted_s)]
    grace_s = found.pod("worker")["terminationGracePeriodSeconds"]
    assert grace_s >= float(command[3]) + math.ceil(drain_s) + 10
    assert grace_s < CLUSTER_AUTOSCALER_S
    for process in set(found.processes) - PORTLESS:
        assert found.pod(process)["terminationGracePeriodSeconds"] >= 30
        assert found.container(process)["lifecycle"]["preStop"]["sleep"]["seconds"] > 0


def test_gpus_are_requested_and_models_kept() -> None:
    for name in ("gpu", "everything"):
        found = rendering(name)
        worker = found.container("worker")
        assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert worker["resources"]["limits"]["memory"]
        tolerations = found.pod("worker")["tolerations"]
        assert tolerations[0] == {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        mount = next(one for one in worker["volumeMounts"] if one["name"] == "models")
        assert mount["mountPath"] == configuration("cuda").env["HF_HOME"]
        assert len(found.of("PersistentVolumeClaim")) == 1
    assert rendering("gpu").container("worker")["image"] == "registry.example/voxtral:cuda"
    assert rendering("gpu").container("web")["image"] == "registry.example/voxtral:cpu"
    assert "nvidia.com/gpu" not in json.dumps(rendering("default").manifests)


def test_secrets_reach_only_the_processes_that_need_them() -> None:
    found = rendering("everything")
    with_keys = {one for one in found.processes if "VOXTRAL_ACCESS__KEYS_FILE" in variables("everything", one)}
    assert with_keys == {"web", "websocket", "tcp", "health"}
    assert [one for one in found.processes if "VOXTRAL_WEBHOOKS__SECRET" in variables("everything", one)] == [
        "webhooks"
    ]
    assert not {"VOXTRAL_ACCESS__KEYS", "VOXTRAL_REDIS__URL"} & variables("everything", "web").keys()
    assert "redis+sentinel" not in json.dumps([pod for _, pod in pods("everything")])


def test_http_probes_are_answered_by_a_service_with_keys_and_hosts(keyed_stack: Stack) -> None:
    urls = {"web": keyed_stack.web_url, "health": keyed_stack.health_url}
    for process, url in urls.items():
        container = rendering("default").container(process)
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]["httpGet"]
            headers = {one["name"]: one["value"] for one in probe["httpHeaders"]}
            assert _status(url, probe["path"], headers) == 200
            assert _status(url, probe["path"], {"Host": "10.1.2.3:8000"}) == 403, "as without the header of the probe"
        assert rendering("everything").container(process)["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"


@EACH_SET
def test_commands_of_probes_check_the_process_itself(name: str) -> None:
    found = rendering(name)
    for process in set(found.processes) & set(REPORTING) - {"web"}:
        container = found.container(process)
        check = ["python", "-m", "compose.healthcheck", process]
        assert container["livenessProbe"]["exec"]["command"] == [*check, "--alive"]
        if process in PORTLESS:
            assert container["startupProbe"]["exec"]["command"] == check
            assert "readinessProbe" not in container, "it is ready from its start on, and no Service selects it"
        else:
            port = container["ports"][0]["name"]
            assert container["startupProbe"]["tcpSocket"] == container["readinessProbe"]["tcpSocket"] == {"port": port}


def _status(url: str, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=limit_s(10))
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
