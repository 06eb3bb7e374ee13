"""Deepgram's body for the transcript of a recording. Pure."""

from typing import Any

from frontend.protocols.deepgram.results import SpeakerNumbers, alternative, model_id, model_info, word_fields
from frontend.transcripts.recording import Growth, Transcript
from frontend.transcripts.turns import turns
from voxtral_client.events import Final

Json = dict[str, Any]


def json_body(
    transcript: Transcript,
    about: Json,
    *,
    detects: bool = False,
    utterances: bool = False,
    paragraphs: bool = False,
) -> Json:
    """`about` has the fields of `metadata` that identify the request and its audio."""
    tracks = sorted({segment.channel or 0 for segment in transcript.segments}) or [0]
    speakers = SpeakerNumbers()
    channels = []
    for track in range(tracks[-1] + 1):
        spoken = [segment for segment in transcript.segments if (segment.channel or 0) == track and segment.text]
        channel: Json = {"alternatives": [_alternative(spoken, speakers, paragraphs=paragraphs)]}
        language = next((segment.language for segment in spoken if segment.language), None)
        channels.append(channel | ({"detected_language": language} if detects and language else {}))
    model = model_id(transcript.model)
    metadata = {
        "transaction_key": "deprecated",
        **about,
        "duration": transcript.duration_s,
        "channels": len(channels),
        "models": [model],
        "model_info": {model: model_info(transcript.model)},
        **transcript.warned,
    }
    results: Json = {"channels": channels}
    if utterances:
        results["utterances"] = [
            {"id": f"{number}", **utterance}
            for number, utterance in enumerate(
                one for segment in transcript.segments for one in _utterances(segment, speakers)
            )
        ]
    return {"metadata": metadata, "results": results}


def _alternative(spoken: list[Final], speakers: SpeakerNumbers, *, paragraphs: bool) -> Json:
    growth, text = Growth(), ""
    for segment in spoken:
        text += growth.gap(segment) + segment.text
    known = [segment.confidence for segment in spoken if segment.confidence is not None]
    words = [word for segment in spoken for word in segment.words]
    found = alternative(text, words, round(sum(known) / len(known), 4) if known else None, speakers)
    if paragraphs:
        found["paragraphs"] = {
            "transcript": "\n\n".join(segment.text for segment in spoken),
            "paragraphs": [one for segment in spoken for one in _paragraphs(segment, speakers)],
        }
    return found


def _paragraphs(segment: Final, speakers: SpeakerNumbers) -> list[Json]:
    return [
        {
            "sentences": [{"text": turn.text, "start": turn.start_s, "end": turn.end_s}],
            "start": turn.start_s,
            "end": turn.end_s,
            "num_words": len(turn.words) or len(turn.text.split()),
            **speakers.of(turn.speaker),
        }
        for turn in turns(segment)
        if turn.text
    ]


def _utterances(segment: Final, speakers: SpeakerNumbers) -> list[Json]:
    return [
        {
            "start": turn.start_s,
            "end": turn.end_s,
            "confidence": segment.confidence or 0.0,
            "channel": segment.channel or 0,
            "transcript": turn.text,
            "words": [word_fields(word, speakers) for word in turn.words],
            **speakers.of(turn.speaker),
        }
        for turn in turns(segment)
        if turn.text
    ]
