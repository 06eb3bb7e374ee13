"""The settings: what existing users have loads, errors are reported in one sentence, secrets stay secret."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from annotated_types import Le

from shared.bus.audio import ENTRY_MIN_BYTES, STREAM_MAX_ENTRIES
from shared.config.renames import RenamedSettingWarning
from shared.config.sections import SessionSettings
from shared.config.settings import Settings, load_settings
from shared.errors import StartupError
from shared.session_options import Mode
from tests.stack import PROJECT

EXISTING_FILE = """
server: {host: "0.0.0.0", http_port: 8000, health_port: 8005, tcp_ports: [8765, 8766]}
model: {name: "mistralai/Voxtral-Mini-3B-2507", device: "cuda", torch_dtype: "bfloat16"}
audio: {sample_rate: 16000, chunk_size: 1024, channels: 1}
spectrogram: {n_mels: 128, hop_length: 160, win_length: 400, n_fft: 400}
"""

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a file of this text, with these environment variables and no others of ours."""

    def load(text: str = "", **variables: str) -> Settings:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "config.yaml").write_text(text)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        load_settings.cache_clear()
        return load_settings()

    for name in ("VOXTRAL_CONFIG", "VOXTRAL_REDIS__BINARY", "REDIS_URL", "REDIS_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    return load


@pytest.fixture(autouse=True)
def _forget_settings() -> Iterator[None]:
    yield
    load_settings.cache_clear()


def test_existing_file_loads_and_means_what_it_says(load: Load) -> None:
    settings = load(EXISTING_FILE)
    assert settings.server.host == "0.0.0.0"
    assert (settings.server.http_port, settings.server.health_port) == (8000, 8005)
    assert (settings.websocket_port, settings.tcp_port) == (8765, 8766)
    assert settings.model.name == "mistralai/Voxtral-Mini-3B-2507"
    assert (settings.model.device, settings.model.torch_dtype) == ("cuda", "bfloat16")
    assert (settings.audio.sample_rate, settings.audio.chunk_size, settings.audio.channels) == (16000, 1024, 1)
    assert settings.spectrogram.model_dump() == {"n_mels": 128, "hop_length": 160, "win_length": 400, "n_fft": 400}


def test_no_file_gives_the_defaults(tmp_path: Path, load: Load) -> None:
    defaults = load("")
    (tmp_path / "config.yaml").unlink()
    load_settings.cache_clear()
    assert load_settings() == defaults
    assert defaults.model.name == "auto"


def test_an_hour_may_be_uploaded_without_setting_anything() -> None:
    settings = Settings()
    assert settings.audio.longest_s(Mode.TRANSCRIBE) >= 3600
    assert settings.server.max_upload_bytes >= 3600 * 48_000 * 2  # as uncompressed samples of 16 bits


def test_largest_backlog_fits_into_the_stream_of_a_session() -> None:
    most_s = sum(
        bound.le
        for name in ("max_backlog_s", "rehear_s")
        for bound in SessionSettings.model_fields[name].metadata
        if isinstance(bound, Le)
    )
    smallest_s = ENTRY_MIN_BYTES / 32_000
    assert 300 < most_s < STREAM_MAX_ENTRIES * smallest_s


def test_committed_file_equals_the_defaults(load: Load) -> None:
    defaults = load("").model_dump()
    assert load((PROJECT / "config.yaml").read_text()).model_dump() == defaults


def test_committed_file_names_every_setting() -> None:
    text = (PROJECT / "config.yaml").read_text()
    for section, field in Settings.model_fields.items():
        assert f"\n{section}:" in text
        for key in field.get_default(call_default_factory=True).model_dump():
            assert f"\n  {key}: " in text, f"{section}.{key}"


def test_environment_wins_over_the_file(load: Load) -> None:
    settings = load("model: {name: echo, slots: 3}", VOXTRAL_MODEL__NAME="whisper-base")
    assert (settings.model.name, settings.model.slots) == ("whisper-base", 3)


def test_environment_sets_numbers_lists_and_whole_sections(load: Load) -> None:
    settings = load(
        "", VOXTRAL_AUDIO__CHANNELS="2", VOXTRAL_SERVER__TCP_PORTS="[1765, 1766]", VOXTRAL_LOGS='{"level": "ERROR"}'
    )
    assert (settings.audio.channels, settings.server.tcp_ports, settings.logs.level) == (2, (1765, 1766), "ERROR")


def test_null_in_the_environment_unsets_a_setting(load: Load) -> None:
    settings = load(
        "{model: {slots: 3}, server: {tls_key: k}}", VOXTRAL_MODEL__SLOTS="null", VOXTRAL_SERVER__TLS_KEY="null"
    )
    assert (settings.model.slots, settings.server.tls_key) == (None, None)


def test_redis_url_wins_over_everything_and_embeds_nothing(load: Load) -> None:
    assert load("").redis_is_embedded
    settings = load(
        "redis: {url: redis://file/0}", VOXTRAL_REDIS__URL="redis://variable/0", REDIS_URL="redis://:pw@host:1/2?x=pw"
    )
    assert not settings.redis_is_embedded
    assert settings.redis_url == "redis://:pw@host:1/2?x=pw"
    assert settings.redis_address == "redis://host:1/2"


def test_broker_is_the_redis_of_sessions_unless_it_has_its_own_url(load: Load) -> None:
    settings = load("", REDIS_URL="redis://:pw@host:1/2")
    assert settings.broker_url == settings.redis_url
    assert [one.shown for one in settings.stores] == ["redis://host:1/2"]
    assert settings.public()["redis"]["broker_url"] is None
    settings = load("redis: {broker_url: redis://file/0}")
    assert settings.broker_url == "redis://file/0"
    settings = load("", REDIS_URL="redis://:pw@host:1/2", REDIS_BROKER_URL="redis://:hush@broker/1?x=y")
    assert [one.shown for one in settings.stores] == ["redis://host:1/2", "redis://broker/1"]
    assert settings.public()["redis"]["broker_url"] == "redis://broker/1"


@pytest.mark.parametrize(
    ("broker", "fault"),
    [
        ("", "has a bad value: it is missing, and REDIS_BROKER_URL too, but redis.url is a Redis Cluster; allowed: "),
        (
            "redis+cluster://h1",
            "(in REDIS_BROKER_URL) has a bad value: it is a Redis Cluster, which Celery's queues can",
        ),
    ],
)
def test_cluster_needs_a_broker_that_is_none(load: Load, broker: str, fault: str) -> None:
    with pytest.raises(StartupError, match=f"Setting redis.broker_url {re.escape(fault)}"):
        load("", REDIS_URL="redis+cluster://:hush@h1,h2", REDIS_BROKER_URL=broker)
    settings = load("", REDIS_URL="redis+cluster://:hush@h1,h2", REDIS_BROKER_URL="redis+sentinel://s1/mymaster")
    assert settings.redis_at.is_cluster
    assert settings.broker_at.is_sentinel


def test_voxtral_config_names_the_file(tmp_path: Path, load: Load) -> None:
    (tmp_path / "other.yaml").write_text("model: {name: echo}")
    assert load("model: {name: auto}", VOXTRAL_CONFIG=str(tmp_path / "other.yaml")).model.name == "echo"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("servers: {}", "Setting servers is unknown; allowed here: server, model, audio, "),
        ("server: {prot: 1}", "Setting server.prot is unknown; allowed here: host, http_port, "),
        ("server: 5", "Setting server is 5; allowed: a section with host, http_port, "),
        ("server: {host: ''}", "Setting server.host is ''; allowed: an address to listen on, such as 127.0.0.1, or "),
        ("wyoming: {host: ''}", "Setting wyoming.host is ''; allowed: an address to listen on, such as 127.0.0.1, or "),
        ("server: {http_port: 99999}", "Setting server.http_port is 99999; allowed: a whole number from 1 to 65535."),
        ("server: {http_port: null}", "Setting server.http_port is null; allowed: a whole number from 1 to 65535."),
        ("server: {http_port: http}", "Setting server.http_port is 'http'; allowed: a whole number from 1 to 65535."),
        (
            "server: {tcp_ports: [1, x]}",
            "Setting server.tcp_ports is 'x'; allowed: two different ports from 1 to 65535.",
        ),
        (
            "server: {tcp_ports: [7, 7]}",
            "Setting server.tcp_ports is [7, 7]; allowed: two different ports from 1 to 65535.",
        ),
        ("server: {tcp_ports: [7]}", "Setting server.tcp_ports is [7]; allowed: two different ports from 1 to 65535."),
        ("model: {path: ''}", "Setting model.path is ''; allowed: a directory, such as /models/whisper"),
        ("model: {second_path: ~nobody-here/a}", "Setting model.second_path is '~nobody-here/a'; allowed: a directory"),
        ("model: {device: gpu}", "Setting model.device is 'gpu'; allowed: auto, cpu, cuda, cuda:0, cuda:1, …."),
        ("model: {torch_dtype: fp8}", "Setting model.torch_dtype is 'fp8'; allowed: auto, bfloat16, float16, float32."),
        ("session: {commit_delay: slow}", "Setting session.commit_delay is 'slow'; allowed: fast, balanced, accurate."),
        ("session: {idle_timeout_s: 0}", "Setting session.idle_timeout_s is 0; allowed: a number, more than 0."),
        ("spectrogram: {n_mels: 0}", "Setting spectrogram.n_mels is 0; allowed: a whole number, at least 1."),
        ("redis: {url: ''}", "Setting redis.url has a bad value: it does not begin with redis://, "),
        ("redis: {broker_url: ''}", "Setting redis.broker_url has a bad value: it does not begin with redis://, "),
        (
            "redis: {url: 'http://:pw@x'}",
            "Setting redis.url has a bad value: it does not begin with redis://, rediss://, redis+sentinel://, "
            "rediss+sentinel://, redis+cluster://, rediss+cluster://; allowed: redis://host:port/number, ",
        ),
        (
            "redis: {url: 'redis://:pw@x:y'}",
            "Setting redis.url has a bad value: it has no host, or a port that is not a number; allowed: redis://host:",
        ),
        (
            "server: {hosts: voice.example}",
            "Setting server.hosts is 'voice.example'; allowed: a list of names such as [voice.example, '*.voice.ex",
        ),
        ("outgoing: {allow: a.internal}", "Setting outgoing.allow is 'a.internal'; allowed: a list of names and netw"),
        ("tracing: {otlp_endpoint: banana}", "Setting tracing.otlp_endpoint is 'banana'; allowed: http(s)://host:port"),
        (
            "access: {protocol_keys: {openai: anna}}",
            "Setting access.protocol_keys is {'openai': 'anna'}; allowed: names of keys by protocol, any of telnyx, ",
        ),
        (
            "server: {protocols: [twilio]}",
            "server.protocols contains twilio, which needs the setting telephony.twilio_auth_token.",
        ),
        (
            "{server: {protocols: [telnyx]}, telephony: {twilio_auth_token: pw}}",
            "server.protocols contains telnyx, which needs the setting telephony.telnyx_stream_token.",
        ),
        (
            "telephony: {telnyx_stream_token: pw}",
            "Setting telephony.telnyx_stream_token has a bad value; allowed: 16 to 4000 characters.",
        ),
        ("telephony: {twilio_url: 'https://x'}", "Setting telephony.twilio_url is 'https://x'; allowed: wss://host/pa"),
        (
            "flower: {basic_auth: sesame}",
            "Setting flower.basic_auth has a bad value; allowed: user:password, in ASCII.",
        ),
        (
            "flower: {basic_auth: 'me:sésame'}",
            "Setting flower.basic_auth has a bad value; allowed: user:password, in A",
        ),
        ("- server", "The configuration config.yaml has no sections; allowed: lines like `server:`."),
        ("5: x", "Setting 5 is unknown; allowed here: server, "),
        ("server: {80: x}", "Setting server.80 is unknown; allowed here: host, "),
        ("server: [", "The configuration config.yaml cannot be read: "),
        (
            "access: {keys_file: k}\naccess:\n  origins: []",
            "The configuration config.yaml cannot be read: access is written twice, again in line 2.",
        ),
        (
            "server:\n  http_port: 1\n  host: h\n  http_port: 2",
            "The configuration config.yaml cannot be read: http_port is written twice, again in line 4.",
        ),
    ],
)
def test_bad_file_is_one_sentence(load: Load, text: str, sentence: str) -> None:
    with pytest.raises(StartupError) as caught:
        load(text)
    assert str(caught.value).replace(" (in config.yaml)", "").startswith(sentence)
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "VOXTRAL_SERVR__HTTP_PORT",
            "1",
            "The variable VOXTRAL_SERVR__HTTP_PORT has no effect: 'servr' is not a section; ",
        ),
        ("VOXTRAL_SERVER__PROT", "1", "Setting server.prot is unknown; allowed here: host, "),
        ("VOXTRAL_SERVER__HTTP_PORT", "0", "Setting server.http_port is '0'; allowed: a whole number from 1 to 65535."),
        ("VOXTRAL_SESSION__RETENTION_S", "0.5", "Setting session.retention_s is '0.5'; allowed: a number from 1 to "),
        ("VOXTRAL_SESSION__RETENTION_S", "inf", "Setting session.retention_s is 'inf'; allowed: a number from 1 to "),
        ("VOXTRAL_SESSION__IDLE_TIMEOUT_S", "inf", "Setting session.idle_timeout_s is 'inf'; allowed: a number, more "),
        (
            "VOXTRAL_SERVER__TCP_PORTS",
            "8765,8766",
            "The variable VOXTRAL_SERVER__TCP_PORTS is '8765,8766'; allowed: two different ports from 1 to 65535, "
            "written like VOXTRAL_SERVER__TCP_PORTS='[8765, 8766]'.",
        ),
        ("voxtral_server__tcp_ports", "8765", "The variable voxtral_server__tcp_ports is '8765'; allowed: two "),
        ("voxtral_server__http_port", "0", "Setting server.http_port is '0'; allowed: a whole number from 1 to 65535."),
        ("voxtral_servr", "0", "The variable voxtral_servr has no effect: 'servr' is not a section; "),
        ("VOXTRAL_SERVER__TCP_PORTS", "8765", "The variable VOXTRAL_SERVER__TCP_PORTS is '8765'; allowed: two "),
        (
            "VOXTRAL_ACCESS__ORIGINS",
            "https://a.example",
            "The variable VOXTRAL_ACCESS__ORIGINS is 'https://a.example'; allowed: a list of pages such "
            "as [https://voice.example] (as browsers send them: lower case, no path, default port or pattern), "
            "or ['*'], written like VOXTRAL_ACCESS__ORIGINS='[\"…\"]'.",
        ),
        (
            "VOXTRAL_ACCESS__ORIGINS",
            '["x"]',
            "Setting access.origins is ['x']; allowed: a list of pages such as [https://voice.example] (as browsers",
        ),
        (
            "VOXTRAL_ACCESS__PROTOCOL_KEYS",
            "{wyoming: home}",
            "The variable VOXTRAL_ACCESS__PROTOCOL_KEYS is '{wyoming: home}'; allowed: names of keys by protocol, "
            'any of telnyx, twilio, whisperlive, wyoming, written like VOXTRAL_ACCESS__PROTOCOL_KEYS=\'{"…": "…"}\'.',
        ),
        ("VOXTRAL_SERVER", "{", "The variable VOXTRAL_SERVER is '{'; allowed: a section with host, "),
        ("VOXTRAL_CONFIG", "/nowhere.yaml", "VOXTRAL_CONFIG names /nowhere.yaml, which is not a file."),
        ("REDIS_URL", "localhost:6379", "Setting redis.url has a bad value: it does not begin with redis://, "),
    ],
)
def test_bad_variable_is_one_sentence(load: Load, name: str, value: str, sentence: str) -> None:
    with pytest.raises(StartupError) as caught:
        load("", **{name: value})
    assert str(caught.value).replace(f" (in {name})", "").startswith(sentence)


def test_only_what_may_be_any_text_is_said_to_be_text(load: Load) -> None:
    said = {}
    for section, fields in Settings.model_fields.items():
        for name in fields.get_default(call_default_factory=True).model_dump():
            with pytest.raises(StartupError) as caught:
                load(f"{section}: {{{name}: [[]]}}")
            said[f"{section}.{name}"] = str(caught.value).partition("; allowed: ")[2]
    assert said["session.revise"] == said["model.cuda_graphs"] == "true or false."
    texts = {name.rpartition(".")[2] for name, allowed in said.items() if allowed == "text."}
    paths = {"tls_certificate", "tls_key", "data_dir", "binary", "model_path", "keys_file", "dir", "secret_file"}
    assert texts == paths | {"name", "second", "twilio_auth_token"}


def test_error_names_the_file_or_the_variable_that_holds_the_value(tmp_path: Path, load: Load) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("model: {lr: 1}")
    with pytest.raises(StartupError, match=re.escape(f"Setting model.lr (in {other}) is unknown; ")):
        load(VOXTRAL_CONFIG=str(other))
    other.write_text("model: {slots: 0}")
    with pytest.raises(StartupError, match=re.escape("Setting model.slots (in VOXTRAL_MODEL) is 'x'; ")):
        load(VOXTRAL_MODEL='{"slots": "x"}')


def test_error_names_the_file_for_a_key_that_the_variable_of_its_section_lacks(load: Load) -> None:
    with pytest.raises(StartupError, match=re.escape("Setting server.http_port (in config.yaml) is 'x'; ")):
        load("server: {http_port: x}", VOXTRAL_SERVER='{"host": "0.0.0.0"}')


def test_a_mapping_may_repeat_keys_that_it_merges(load: Load) -> None:
    settings = load("server:\n  <<:\n    <<: {health_port: 1, host: h}\n    health_port: 2\n  http_port: 3")
    assert (settings.server.host, settings.server.http_port) == ("h", 3)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://*.voice.example", "https://Voice.example", "https://voice.example/", "https://voice.example?x"),
        *("https://voice.example:443", "http://voice.example:80", "http://[::1]:80", "https://u@voice.example"),
        *("https://bücher.example", "https://voice.example:0", "https://", "null"),
    ],
)
def test_an_origin_that_no_browser_sends_is_rejected(load: Load, origin: str) -> None:
    with pytest.raises(StartupError, match=r"Setting access\.origins .*is .*as browsers send them"):
        load(VOXTRAL_ACCESS__ORIGINS=json.dumps([origin]))


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "https://voice.example", "https://voice.example:80", "http://localhost:3000", "http://[::1]:8000"),
        *("http://127.0.0.1", "chrome-extension://abcdefgh", "capacitor://localhost", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_that_browsers_send_is_accepted(load: Load, origin: str) -> None:
    assert load(VOXTRAL_ACCESS__ORIGINS=json.dumps([origin])).access.origins == (origin,)


def test_secrets_are_masked_wherever_settings_are_printed(load: Load) -> None:
    settings = load("flower: {basic_auth: 'me:sesame'}", REDIS_URL="redis://:sesame@host:1/0")
    printed = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()} {settings.public()}"
    assert "sesame" not in printed
    assert settings.public()["redis"]["url"] == "redis://host:1/0"


@pytest.mark.parametrize(("written", "setting"), [("on", "on"), ("off", "off"), ("auto", "auto"), ("'on'", "on")])
def test_compile_may_be_written_as_yaml_reads_it(load: Load, written: str, setting: str) -> None:
    """YAML reads on and off as true and false."""
    assert load(f"model:\n  compile: {written}\n").model.compile == setting


def test_bad_compile_names_what_is_allowed(load: Load) -> None:
    with pytest.raises(StartupError, match=r"'always'.*allowed: .*auto, on, off"):
        load(VOXTRAL_MODEL__COMPILE="always")


@pytest.mark.parametrize(
    ("text", "variables", "rehear_s", "origin"),
    [
        ("session: {resume_window_s: 7}", {}, 7, "config.yaml"),
        ("session: {rehear_s: 3}", {"VOXTRAL_SESSION__RESUME_WINDOW_S": "8"}, 8, "the environment"),
        ("session: {resume_window_s: 7}", {"VOXTRAL_SESSION__REHEAR_S": "9"}, 9, "config.yaml"),
        ("session: {resume_window_s: 7, rehear_s: 3}", {}, 3, "config.yaml"),
    ],
)
def test_old_name_of_a_setting_works_and_warns(
    load: Load, text: str, variables: dict[str, str], rehear_s: float, origin: str
) -> None:
    with pytest.warns(RenamedSettingWarning) as warned:
        settings = load(text, **variables)
    assert settings.session.rehear_s == rehear_s
    message = f"Setting session.resume_window_s (in {origin}) is now called session.rehear_s; rename it."
    assert [str(warning.message) for warning in warned] == [message]


def test_bad_value_of_an_old_name_is_told_by_the_new_one(load: Load) -> None:
    with pytest.warns(RenamedSettingWarning), pytest.raises(StartupError, match=r"session\.rehear_s is 61; allowed"):
        load("session: {resume_window_s: 61}")
