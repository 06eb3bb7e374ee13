"""Two voices take turns: a known one is named, the other gets a letter, live and in the transcript for viewers."""

import asyncio
import re

import numpy as np

from frontend.client import Done, Final, Speakers, TranscriptionClient
from tests.integration.api_clients import request, wav_of
from tests.speech import SENTENCES, silence
from tests.stack import Stack
from tests.two_voices import high, low, pcm_of


async def test_a_known_voice_is_named_and_another_one_gets_a_letter(whisper_stack: Stack) -> None:
    said = [low(SENTENCES[4]), high(SENTENCES[7]), low(SENTENCES[30])]
    talk = np.concatenate([part for speech in said for part in (speech, silence(0.9))])
    finals: list[Final] = []
    async with TranscriptionClient(whisper_stack.ws_url) as client:
        known = [{"name": "Bo Lee", "embedding": await client.embed_voice(wav_of(high(SENTENCES[5])))}]
        async with client.live(language="en", diarize=True, known_speakers=known) as session:
            await session.send(pcm_of(talk))
            await session.stop()
            async for event in session:
                match event:
                    case Final():
                        finals.append(event)
                    case Speakers():
                        event.label(finals)
                    case Done():
                        break
        headers = {"authorization": f"Bearer {session.ready.viewer_token}"}
        path = f"/v1/sessions/{session.session_id}/transcript"
        documents = {
            form: (await asyncio.to_thread(request, whisper_stack, "GET", f"{path}.{form}", headers))[1].decode()
            for form in ("txt", "vtt")
        }
    assert [final.speaker for final in finals if final.text] == ["A", "Bo Lee", "A"]
    assert {word.speaker for final in finals for word in final.words} == {"A", "Bo Lee"}
    assert re.findall(r"^([^:\n]+): ", documents["txt"], re.MULTILINE) == ["A", "Bo Lee", "A"]
    assert list(dict.fromkeys(re.findall(r"<v ([^>]+)>", documents["vtt"]))) == ["A", "Bo Lee"]
