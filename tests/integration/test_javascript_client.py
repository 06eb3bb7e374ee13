"""The JavaScript client in Node, against real services: recordings, live audio, lost connections, its package."""

import asyncio
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser.conftest import write_wav
from tests.documentation import blocks
from tests.integration.node import needs_node
from tests.keys import KeyList
from tests.limits import limit_s
from tests.speech import silence
from tests.stack import PROJECT, Stack
from tests.wire import wire_to

pytestmark = needs_node
CLIENT = PROJECT / "frontend" / "client-js"
NO_SERVICE = "No transcription service answers at this address."
COMPILERS = PROJECT / "tests/page/node_modules"
IMPORTS = f"""
import {{ openAsBlob }} from "node:fs";
const client = await import("{(CLIENT / "lib" / "index.js").as_uri()}");
const {{ LiveTranscription, TranscriptionError, transcribe }} = client;
const pcm = (seconds) => new Int16Array(seconds * 16000);
const finals = async (live) => {{
  const texts = [];
  for await (const event of live) if (event.type === "final") texts.push(event.text);
  return texts;
}};
const failure = async (promise) => promise.then(() => null, (error) => {{
  if (!(error instanceof TranscriptionError)) throw error;
  return {{ code: error.code, message: error.message, status: error.status }};
}});
"""


def node(script: str, folder: Path) -> subprocess.Popen[str]:
    module = folder / "script.mjs"
    module.write_text(IMPORTS + script)
    command = ["node", "--experimental-websocket", module]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(process: subprocess.Popen[str]) -> object:
    out, err = process.communicate(timeout=limit_s(30))
    assert process.returncode == 0, err
    return json.loads(out)


def test_recording_is_transcribed_in_three_lines(stack: Stack, tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", silence(2), 16_000)
    script = f"""
        const answer = await transcribe("{stack.web_url}", await openAsBlob("talk.wav"), {{ language: "en" }});
        const wrong = await failure(transcribe("{stack.web_url}", await openAsBlob("script.mjs")));
        console.log(JSON.stringify([answer.text, answer.segments.length, wrong.status, wrong.code]));
    """
    assert printed(node(script, tmp_path)) == ["2 seconds", 1, 400, "unsupported_audio"]


def test_options_of_a_recording_arrive_as_the_service_reads_them(stack: Stack, tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", silence(2), 16_000)
    script = f"""
        const send = async (options) => transcribe("{stack.web_url}", await openAsBlob("talk.wav"), options);
        const keyterms = [{{ term: "Ann", boost: 2 }}, "Lee"];
        const answer = await send({{ language: undefined, prompt: null, keyterms }});
        const wrong = await failure(send({{ keyterms: [{{ term: "Ann", boost: 9 }}] }}));
        console.log(JSON.stringify([answer.text, wrong.message.includes("boost from 0 to 4")]));
    """
    assert printed(node(script, tmp_path)) == ["2 seconds", True]


def test_recording_that_no_service_answers_fails_like_any_other(tmp_path: Path) -> None:
    script = """
        import { createServer } from "node:http";
        const send = (url, options) => transcribe(url, new Blob(["audio"]), options);
        const gone = await failure(send("http://127.0.0.1:9"));
        const bodies = ["<html>", '{"detail": "Not Found"}', '{"error": {"code": "c", "message": "m"}}'];
        const proxy = createServer((_, response) => response.writeHead(502).end(bodies.shift()));
        await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
        const seen = [];
        while (bodies.length > 0) seen.push(await failure(send(`http://127.0.0.1:${proxy.address().port}`)));
        proxy.close();
        proxy.closeAllConnections();
        const aborted = await send("http://127.0.0.1:9", { signal: AbortSignal.abort() }).catch(({ name }) => name);
        console.log(JSON.stringify([gone.message, seen, aborted]));
    """
    foreign = "The answer (HTTP 502) is incomplete, or not that of a transcription service."
    answers = [{"message": foreign, "status": 502}] * 2 + [{"code": "c", "message": "m", "status": 502}]
    assert printed(node(script, tmp_path)) == [NO_SERVICE, answers, "AbortError"]


@pytest.mark.parametrize("address", ["web_url", "ws_url"])
def test_live_audio_is_transcribed(stack: Stack, tmp_path: Path, address: str) -> None:
    script = f"""
        const live = new LiveTranscription("{getattr(stack, address)}", {{ language: "en" }});
        await live.write(pcm(1));
        live.commit();
        await live.write(pcm(1).buffer);
        live.stop();
        console.log(JSON.stringify(await finals(live)));
    """
    assert printed(node(script, tmp_path)) == ["1 seconds", "1 seconds"]


def test_errors_are_thrown_with_their_codes(keyed_stack: Stack, key_list: KeyList, tmp_path: Path) -> None:
    script = f"""
        const [url, key] = ["{keyed_stack.web_url}", "{key_list.keys["anna"]}"];
        const fail = (options, to = url) => failure(finals(new LiveTranscription(to, options)));
        const failures = [await fail({{ key: "wrong" }}), await fail({{ key, language: "klingon" }})];
        const codes = failures.map(({{ code }}) => code);
        const gone = await fail({{}}, "ws://127.0.0.1:9");
        const live = new LiveTranscription(url, {{ key }});
        live.write(pcm(1)).then(() => live.stop());
        console.log(JSON.stringify([codes, gone.message, await finals(live)]));
    """
    said = ["unauthorized", "invalid_field"], NO_SERVICE, ["1 seconds"]
    assert printed(node(script, tmp_path)) == [*map(list, said[:1]), *said[1:]]


def test_option_that_json_cannot_hold_is_thrown_at_once(tmp_path: Path) -> None:
    script = """
        let name = "";
        try { new LiveTranscription("ws://127.0.0.1:9", { temperature: 1n }); } catch (error) { name = error.name; }
        console.log(JSON.stringify(name));
    """
    assert printed(node(script, tmp_path)) == "TypeError"


async def test_no_event_is_lost_or_repeated_when_connections_are_cut(stack: Stack, tmp_path: Path) -> None:
    async with wire_to(stack.settings.server.http_port) as wire:
        script = f"""
            const live = new LiveTranscription("http://127.0.0.1:{wire.port}");
            const seen = [];
            const send = async () => {{
              for (let at = 0; at < 40; at++) {{
                await live.write(pcm(1));
                if (at % 10 === 5) process.stderr.write("cut\\n");
                await new Promise((resolve) => setTimeout(resolve, 25));
              }}
              live.stop();
            }};
            void send();
            for await (const {{ seq, type, end }} of live) if (type !== "ready") seen.push([seq, type, end ?? null]);
            console.log(JSON.stringify(seen));
        """
        process = node(script, tmp_path)
        assert process.stderr is not None
        cuts = 0
        while cuts < 4 and await asyncio.to_thread(process.stderr.readline) == "cut\n":
            wire.cut()
            cuts += 1
        seen = await asyncio.to_thread(printed, process)
        assert cuts == 4
        assert wire.connections >= 5
    assert isinstance(seen, list)
    numbers = [seq for seq, *_ in seen if seq]
    assert numbers == sorted(set(numbers))
    assert max(end for _, kind, end in seen if kind == "final") == 40.0


@dataclass(frozen=True)
class Installed:
    """The client's package, as somebody installs it in a folder."""

    folder: Path
    names: set[str]
    """Its files."""
    unpacked_bytes: int

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=limit_s(30)
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    if not COMPILERS.exists():
        pytest.skip("`make types` has not installed the compiler")
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("types", "node_modules"))
    (source / "node_modules").symlink_to(COMPILERS)  # what `npm install` puts there
    done = subprocess.run(["npm", "pack", "--json"], cwd=source, capture_output=True, text=True, check=True)
    packed = json.loads(done.stdout[done.stdout.index("[") :])[0]
    package = folder / "node_modules" / "voxtral-client"
    package.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", source / packed["filename"], "-C", package, "--strip-components=1"], check=True)
    return Installed(folder, {file["path"] for file in packed["files"]}, packed["unpackedSize"])


def test_package_is_small_and_whole(installed: Installed) -> None:
    wanted = {"types/index.d.ts", "types/live.d.ts", "lib/index.js", "lib/recorder-worklet.js", "README.md"}
    assert wanted <= installed.names
    assert installed.unpacked_bytes < 200_000


def test_types_of_the_package_are_known(installed: Installed) -> None:
    (installed.folder / "example.mts").write_text(
        'import { LiveTranscription, transcribe } from "voxtral-client";\n'
        'const text: string = (await transcribe("http://x", new Blob())).text;\n'
        'for await (const { type } of new LiveTranscription("http://x", { language: "en" })) console.log(type, text);\n'
        "// @ts-expect-error no such method\n"
        'new LiveTranscription("http://x").shout();\n'
    )
    checks = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext")
    known = ("--lib", "es2023,dom,dom.asynciterable", "--types", "")
    checked = installed.run(COMPILERS / ".bin" / "tsc", *checks, *known, "example.mts")
    assert checked.returncode == 0, checked.stdout


def test_first_examples_of_its_page_work_with_the_package(installed: Installed, stack: Stack) -> None:
    folder = installed.folder
    write_wav(folder / "talk.wav", silence(2), 16_000)
    (folder / "talk.pcm").write_bytes(bytes(64_000))
    examples = [block.text for block in blocks(PROJECT / "docs/javascript-client.md") if block.language == "js"]
    for number, example in enumerate(examples[:2]):
        text = example.replace("http://127.0.0.1:8000", stack.web_url).replace("ws://127.0.0.1:8765", stack.ws_url)
        (folder / f"example{number}.mjs").write_text(text)
        ran = installed.run("node", "--experimental-websocket", f"example{number}.mjs")
        assert re.fullmatch(r"2 seconds\n", ran.stdout), ran.stderr
