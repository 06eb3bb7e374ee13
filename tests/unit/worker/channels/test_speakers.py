"""Speakers of a session with separate channels: each channel has its own, and its labels are never those of another."""

import numpy as np

from shared.errors import InvalidAudioError
from shared.events import SAMPLE_RATE_HZ
from tests.unit.worker.channels.test_session import Service, final
from worker.engines.base import Output
from worker.speakers.clusters import GE2E, Speakers
from worker.speakers.labelling import Labelling
from worker.speakers.outputs import Released

S = SAMPLE_RATE_HZ


def spoken(output: Output, label: str | None) -> Released:
    return Released(output, 0.0, 0, None if label is None else labelled(label), b"{}")


def labelled(label: str) -> Labelling:
    return Labelling(((0, 10 * S),), (label,))


def say(service: Service, channel: int, text: str, segment: int, label: str | None) -> None:
    output = final(segment, text, segment * S, (segment + 1) * S)
    service.session.take(output, 0, 0, service.session.handles[channel], spoken(output, label))
    service.write()


def test_finals_and_words_have_the_speaker_of_their_channel() -> None:
    service = Service(diarize=True)
    say(service, 0, "Hello.", 0, "0A")
    say(service, 1, "Good morning.", 0, "1A")
    finals = [event for event in service.events if event["type"] == "final"]
    assert [(one["channel"], one["speaker"]) for one in finals] == [(0, "0A"), (1, "1A")]
    assert [word["speaker"] for one in finals for word in one["words"]] == ["0A", "1A"]


def test_later_labels_are_of_the_segments_that_clients_know() -> None:
    service = Service(diarize=True)
    say(service, 0, "Hello.", 0, "0A")
    say(service, 1, "Good morning.", 0, None)  # segment 1 for clients
    service.session.relabel(service.session.handles[1], {0: labelled("1A")})
    service.write()
    said = service.events[-1]
    assert (said["type"], said["channel"]) == ("speakers", 1)
    assert said["segments"] == [{"segment": 1, "speaker": "1A", "word_speakers": ["1A"]}]


def test_session_that_has_ended_reports_no_later_labels() -> None:
    service = Service(diarize=True)
    say(service, 0, "Hello.", 0, "0A")
    service.session.fail(InvalidAudioError("The audio is damaged."))
    service.write()
    service.session.relabel(service.session.handles[0], {0: labelled("0B")})
    service.write()
    assert [event["type"] for event in service.events][-1] == "error"


def test_label_that_changes_before_its_final_is_sent_is_sent_with_it() -> None:
    service = Service(diarize=True, recording=True)
    say(service, 1, "Good morning.", 1, "1B")  # waits for the first channel
    service.session.relabel(service.session.handles[1], {1: labelled("1A")})
    service.session.advance(3 * S, 3 * S, service.session.handles[0])
    service.write()
    (sent,) = [event for event in service.events if event["type"] in ("final", "speakers")]
    assert sent["speaker"] == "1A"


def test_new_owner_has_the_voices_of_each_channel() -> None:
    service = Service(diarize=True)
    first, second = service.session.tracks
    first.speakers.state = b'{"model":"a"}'
    assert service.session.pending().speakers is None, "the audio of known speakers is still needed"
    second.speakers.state = b'{"model":"b"}'
    service.held[b"speakers"] = service.session.pending().speakers or b""
    service.write()
    assert service.session.pending().speakers is None, "Redis has them"
    assert [track.speakers.state for track in service.claim().tracks] == [b'{"model":"a"}', b'{"model":"b"}']


def test_channel_whose_speakers_lag_stops_reading() -> None:
    session = Service(diarize=True).session
    session.arrived(11 * S, 0.0, 0.0)
    for handle in session.handles:
        session.advance(11 * S, 0, handle)
    assert not session.throttled
    session.tracks[1].speakers.track_from(0)
    assert session.throttled


def test_new_labels_begin_with_the_channel() -> None:
    session = Service(diarize=True).session
    prefixes = [track.label_prefix for track in session.tracks]
    found = [Speakers(4, GE2E, prefix) for prefix in prefixes]
    labels = [one.assign(np.ones(4, np.float32) / 2, 4.0, founds=True, segment=0) for one in found]
    assert [speaker.label for speaker in labels if speaker is not None] == ["0A", "1A"]
