"""The settings: one frozen object, read once, from `config.yaml`, the environment and the defaults in `sections.py`.

Order of precedence: environment (`VOXTRAL_MODEL__NAME=…`, `REDIS_URL` and `REDIS_BROKER_URL`), then `config.yaml` (or
the file that `VOXTRAL_CONFIG` names), then the defaults. An unknown key or a bad value stops the start with an error
that names it.
"""

import json
import os
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from shared.config.config_file import read_config_file
from shared.config.renames import RenamedSource
from shared.config.sections import (
    BROKER_VARIABLE,
    TELEPHONY,
    URL_VARIABLES,
    AccessSettings,
    AudioSettings,
    FlowerSettings,
    ForeignProtocol,
    LogSettings,
    ModelSettings,
    RedisSettings,
    ServerSettings,
    SessionSettings,
    SpeakerSettings,
    SpectrogramSettings,
    TelephonySettings,
    TracingSettings,
    ViewerSettings,
    WyomingSettings,
)
from shared.config.webhooks import OutgoingSettings, WebhookSettings
from shared.config.wording import check_variables, sentence
from shared.errors import StartupError
from shared.redis_address import RedisAddress
from shared.variables import COMMAND_VARIABLES

ENV_PREFIX = "VOXTRAL_"
CONFIG_PATH_VARIABLE = "VOXTRAL_CONFIG"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_parse_none_str="null",  # as in config.yaml
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
    )

    server: ServerSettings = ServerSettings()
    model: ModelSettings = ModelSettings()
    audio: AudioSettings = AudioSettings()
    spectrogram: SpectrogramSettings = SpectrogramSettings()
    redis: RedisSettings = RedisSettings()
    session: SessionSettings = SessionSettings()
    speakers: SpeakerSettings = SpeakerSettings()
    viewers: ViewerSettings = ViewerSettings()
    access: AccessSettings = AccessSettings()
    flower: FlowerSettings = FlowerSettings()
    logs: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    wyoming: WyomingSettings = WyomingSettings()
    telephony: TelephonySettings = TelephonySettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    webhooks: WebhookSettings = WebhookSettings()

    @property
    def websocket_port(self) -> int:
        return self.server.tcp_ports[0]

    @property
    def tcp_port(self) -> int:
        return self.server.tcp_ports[1]

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can reach the service, since it does not listen on loopback."""
        return not is_loopback(self.server.host) or (self.speaks_wyoming and not is_loopback(self.wyoming.host))

    @property
    def speaks_wyoming(self) -> bool:
        """Whether the port of the Wyoming protocol is open."""
        return ForeignProtocol.WYOMING in self.server.protocols

    def telephony_secret(self, protocol: ForeignProtocol) -> str:
        """What proves that a stream comes from this telephone service. Raises StartupError if it is not set."""
        secrets = {
            ForeignProtocol.TWILIO: ("twilio_auth_token", self.telephony.twilio_auth_token),
            ForeignProtocol.TELNYX: ("telnyx_stream_token", self.telephony.telnyx_stream_token),
        }
        name, secret = secrets[protocol]
        if secret is None or not secret.get_secret_value():
            raise StartupError(f"server.protocols contains {protocol}, which needs the setting telephony.{name}.")
        return secret.get_secret_value()

    @property
    def sends_keys_in_clear(self) -> bool:
        """Whether keys reach this service over a network without TLS, unless a proxy in front of it terminates TLS."""
        is_exposed = not is_loopback(self.server.host)
        return is_exposed and self.access.needs_key and self.server.tls_certificate is None

    @property
    def redis_is_embedded(self) -> bool:
        return self.redis.url is None

    @property
    def redis_url(self) -> str:
        """The URL of Redis. It may hold a password: never print it, print `redis_address`."""
        if self.redis.url is None:
            return f"redis://127.0.0.1:{self.redis.port}/0"
        return self.redis.url.get_secret_value()

    @property
    def redis_at(self) -> RedisAddress:
        """The same, in its parts."""
        return RedisAddress.read(self.redis_url)

    @property
    def redis_address(self) -> str:
        """The URL without user, password and options."""
        return self.redis_at.shown

    @property
    def broker_url(self) -> str:
        """The URL of the Redis of Celery's queues. It may hold a password."""
        return self.redis_url if self.redis.broker_url is None else self.redis.broker_url.get_secret_value()

    @property
    def broker_at(self) -> RedisAddress:
        """The same, in its parts."""
        return self.redis_at if self.redis.broker_url is None else RedisAddress.read(self.broker_url, BROKER_VARIABLE)

    @property
    def stores(self) -> list[RedisAddress]:
        """Each Redis that the service uses: that of sessions, and that of Celery's queues if it is another one."""
        return [self.redis_at] if self.redis.broker_url is None else [self.redis_at, self.broker_at]

    def public(self) -> dict[str, Any]:
        """The settings as JSON values, with secrets masked."""
        values = self.model_dump(mode="json")
        broker = None if self.redis.broker_url is None else self.broker_at.shown
        return values | {"redis": values["redis"] | {"url": self.redis_address, "broker_url": broker}}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = _config_path()
        file_settings = InitSettingsSource(settings_cls, read_config_file(path))
        return (
            init_settings,
            RenamedSource(settings_cls, env_settings, "the environment"),
            RenamedSource(settings_cls, file_settings, str(path)),
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def load_settings() -> Settings:
    """The settings of this process.

    Raises a `StartupError` that names the key, the value and what is allowed.
    """
    path = _config_path()
    if CONFIG_PATH_VARIABLE in os.environ and not path.is_file():
        raise StartupError(f"{CONFIG_PATH_VARIABLE} names {path}, which is not a file.")
    check_variables(ENV_PREFIX, Settings.model_fields, COMMAND_VARIABLES | {CONFIG_PATH_VARIABLE})
    urls = {key: url for variable, key in URL_VARIABLES.items() if (url := os.environ.get(variable))}
    overrides: dict[str, Any] = {"redis": urls} if urls else {}
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise StartupError(sentence(error, Settings.model_fields, _origin)) from None
    for protocol in TELEPHONY:
        if protocol in settings.server.protocols:
            settings.telephony_secret(protocol)
    return settings


def _origin(location: list[str]) -> str | None:
    """The variable or the file that sets the value at this path; None for a default."""
    for name, key in URL_VARIABLES.items():
        if location == ["redis", key] and os.environ.get(name):
            return name
    variables = {name.upper(): name for name in os.environ}
    for depth in range(len(location), 0, -1):
        found = variables.get(ENV_PREFIX + "__".join(location[:depth]).upper())
        if found and (depth == len(location) or _holds(json.loads(os.environ[found]), location[depth:])):
            return found
    return str(_config_path()) if _holds(read_config_file(_config_path()), location) else None


def _holds(found: Any, location: list[str]) -> bool:
    """Whether a mapping has a value at this path."""
    for part in location:
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def _config_path() -> Path:
    return Path(os.environ.get(CONFIG_PATH_VARIABLE) or "config.yaml")
