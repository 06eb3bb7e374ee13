"""The Helm chart: what Helm's linter says, whether Kubernetes knows what it renders, and what it rejects."""

import json
import shlex
from functools import cache
from typing import Any, get_args, get_type_hints

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, SecretStr

from shared.config.settings import Settings
from shared.version import VERSION
from tests.documentation import commands
from tests.helm.chart import CHART, RELEASE, SETS, VALUES, helm, rendering
from tests.stack import PROJECT

KUBERNETES = "1.37"
REJECTED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"worker": {"replicas": "two"}}, "at '/worker/replicas': got string, want integer"),
    ({"wroker": {}}, "additional properties 'wroker' not allowed"),
    ({"worker": {"gpu": {"number": 1}}}, "at '/worker/gpu': additional properties 'number' not allowed"),
    ({"config": {"session": {"drain_timeout_s": "30s"}}}, "at '/config/session/drain_timeout_s': got string"),
    ({"redis": {"url": "http://redis"}}, "at '/redis/url': 'http://redis' does not match pattern"),
    ({"worker": {"autoscaling": {"minReplicas": 0}}}, "at '/worker/autoscaling/minReplicas': minimum: got 0"),
    ({"redis": {"existingSecret": ""}}, "redis.existingSecret or redis.url must be set"),
    ({"redis": {"url": "redis+cluster://r1"}}, "which cannot have the queues: set redis.brokerUrl"),
    ({"redis": {"brokerUrl": "redis://q"}}, "redis.brokerUrl needs redis.url"),
    (
        {"redis": {"brokerUrl": "redis+cluster://q"}},
        "at '/redis/brokerUrl': 'redis+cluster://q' does not match pattern",
    ),
    ({"config": {"server": {"http_port": 80}}}, "config.server.http_port must not be set: the chart sets it"),
    ({"config": {"server": {"protocols": ["wyoming"]}}}, "config.server.protocols must not contain wyoming"),
    ({"ingress": {"enabled": True}}, "ingress.enabled opens the service: set keys.existingSecret or keys.list"),
    ({"tcp": {"service": {"type": "NodePort"}}}, "tcp.service.type=NodePort opens the service: set keys."),
    (
        {"health": {"service": {"type": "LoadBalancer"}}},
        "health.service.type=LoadBalancer opens the service: set keys.",
    ),
    (
        {"keys": {"anonymous": True}, "ingress": {"enabled": True, "websocketHost": VALUES["ingress"]["host"]}},
        "ingress.websocketHost must differ from ingress.host",
    ),
    ({"flower": {"enabled": True}}, "flower.enabled needs flower.existingSecret"),
    ({"webhooks": {"enabled": True}}, "webhooks.enabled needs webhooks.existingSecret"),
    (
        {"config": {"telephony": {"twilio_auth_token": "x"}}},
        "set VOXTRAL_TELEPHONY__TWILIO_AUTH_TOKEN from a Secret in extraEnv",
    ),
    ({"worker": {"autoscaling": {"enabled": True, "minReplicas": 5}}}, "maxReplicas must not be smaller than"),
)
INFORMATION = 1
"""The severity of a hint of `helm lint`."""


@pytest.mark.parametrize("name", SETS)
def test_helm_lints_and_renders_it(name: str) -> None:
    found = rendering(name)
    assert found.lint["errors"] == []
    assert [message for message in found.lint["messages"] if message["severity"] > INFORMATION] == []
    assert found.notes.startswith(f"Voxtral {VERSION} ")


@cache
def models_of_operators() -> dict[str, type[BaseModel]]:
    """Importing them takes seconds, which only the process that runs these tests should spend."""
    from cloudcoil.models.keda import v1alpha1 as keda
    from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

    return {"ScaledObject": keda.ScaledObject, "ServiceMonitor": prometheus_operator.ServiceMonitor}


@pytest.mark.parametrize("name", SETS)
def test_kubernetes_knows_every_field(name: str) -> None:
    for manifest in rendering(name).manifests:
        if known := models_of_operators().get(manifest["kind"]):
            model = known.model_validate(manifest)
            assert model.model_dump(mode="json", by_alias=True, exclude_unset=True) == manifest
        else:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_names_are_unique_and_everything_is_on() -> None:
    manifests = rendering("everything").manifests
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))
    assert {kind for kind, _ in names} == {
        *("ConfigMap", "Secret", "ServiceAccount", "Deployment", "Service", "PodDisruptionBudget"),
        *("PersistentVolumeClaim", "Ingress", "NetworkPolicy", "ScaledObject", "ServiceMonitor"),
    }
    assert {kind for kind, _ in names} - {manifest["kind"] for manifest in rendering("default").manifests} == {
        *("Secret", "PersistentVolumeClaim", "Ingress", "ScaledObject", "ServiceMonitor")
    }


def test_version_is_the_release() -> None:
    lines = (CHART / "Chart.yaml").read_text().splitlines()
    assert f"version: {VERSION}" in lines
    assert any(line.startswith(f"appVersion: {VERSION} ") for line in lines)


def test_bad_values_are_rejected_with_a_reason() -> None:
    answers = helm([values for values, _ in REJECTED])
    for (values, reason), answer in zip(REJECTED, answers, strict=True):
        assert reason in answer.get("error", "accepted"), values


def test_no_secret_is_accepted_where_everyone_can_read_it() -> None:
    secrets = [
        (section, key)
        for section, field in Settings.model_fields.items()
        for key, secret in get_type_hints(field.annotation).items()
        if SecretStr in get_args(secret)
    ]
    assert ("telephony", "twilio_auth_token") in secrets
    answers = helm([{"config": {section: {key: "secret"}}} for section, key in secrets])
    for (section, key), answer in zip(secrets, answers, strict=True):
        assert f"config.{section}.{key} must not be set" in answer.get("error", "accepted")


def test_annotations_of_the_ingress_may_be_removed() -> None:
    ingress = {"enabled": True, "annotations": None}
    [answer] = helm([{"keys": {"anonymous": True}, "tls": {"secretName": "internal-tls"}, "ingress": ingress}])
    found = yaml.safe_load(answer["rendered"]["voxtral/templates/ingress.yaml"])
    assert found["metadata"]["annotations"] == {"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"}


def test_documented_values_are_accepted() -> None:
    [command] = [one for one in commands(PROJECT / "docs/deployment.md") if one.startswith("helm install")]
    words = shlex.split(command)
    assert (PROJECT / words[3]) == CHART
    values: dict[str, Any] = {}
    for option, pair in zip(words[4::2], words[5::2], strict=True):
        assert option == "--set"
        path, _, value = pair.partition("=")
        *sections, key = path.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value == "true" or value
    [answer] = helm([values])
    assert "error" not in answer, answer["error"]


def test_notes_name_what_is_missing() -> None:
    notes = rendering("default").notes
    assert "create secret generic voxtral-redis --from-literal=url=" in notes
    assert "Warning: no key is required." in notes
    assert f"service/{RELEASE}-web 8000" in notes
    other = rendering("everything").notes
    assert "https://voice.example/" in other
    assert "Warning" not in other
    assert "create secret" not in other
    alone = rendering("another model").notes
    assert "rollout status deployment voxtral-worker" in alone
    assert "service/" not in alone


def test_every_value_has_a_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert VALUES.keys() == schema["properties"].keys() - {"global"}
