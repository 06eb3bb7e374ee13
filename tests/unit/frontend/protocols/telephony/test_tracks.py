"""The tracks of a call as channels: packets at their times, in any order, with gaps."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.telephony.tracks import MAX_GAP_SAMPLES, WAIT_SAMPLES, Tracks

BOTH = ("inbound", "outbound")
PACKET_MS = 20
PACKET = 160
Packet = tuple[str, bytes, int | None]


def tracks(*names: str) -> Tracks:
    return Tracks(names or BOTH, "pcmu")


def sent(call: Tracks, *packets: Packet) -> bytes:
    return b"".join(call.feed(*packet) for packet in packets) + call.rest()


def speech(name: str, seed: int, count: int, first_ms: int = 0) -> list[Packet]:
    """Packets one after the other; no sample is silent."""
    noise = random.Random(seed)
    audio = [bytes(noise.randrange(255) for _ in range(PACKET)) for _ in range(count)]
    return [(name, packet, first_ms + PACKET_MS * number) for number, packet in enumerate(audio)]


def test_packets_of_two_tracks_are_interleaved_at_once() -> None:
    call = tracks()
    assert call.feed("inbound", b"\1" * PACKET, 0) == b""
    assert call.feed("outbound", b"\2" * PACKET, 0) == b"\1\2" * PACKET
    assert call.feed("outbound", b"\2" * PACKET, 20) == b""
    assert call.feed("inbound", b"\1" * PACKET, 20) == b"\1\2" * PACKET
    assert call.rest() == b""


def test_packets_of_one_track_are_sent_at_once() -> None:
    call = tracks("inbound")
    for _, packet, at_ms in speech("inbound", 1, 5):
        assert call.feed("inbound", packet, at_ms) == packet
    assert call.feed("inbound", b"\1", None) == b"\1"


def test_a_track_without_packets_is_silent_and_delays_the_other_a_little() -> None:
    call = tracks()
    packets = speech("inbound", 1, 50)
    heard = b"".join(call.feed(*packet) for packet in packets)
    whole = b"".join(packet for _, packet, _ in packets)
    assert heard[0::2] == whole[:-WAIT_SAMPLES]
    assert heard[1::2] == b"\xff" * (len(whole) - WAIT_SAMPLES)
    assert call.rest()[0::2] == whole[-WAIT_SAMPLES:]


def test_tracks_stay_aligned_if_one_begins_later() -> None:
    caller, callee = speech("inbound", 1, 100), speech("outbound", 2, 30, first_ms=1000)
    by_time = sorted([*caller, *callee], key=lambda packet: packet[2] or 0)
    heard = sent(tracks(), *by_time)
    assert heard[0::2] == b"".join(packet for _, packet, _ in caller)
    assert heard[1::2] == b"\xff" * 8000 + b"".join(packet for _, packet, _ in callee) + b"\xff" * (100 - 80) * PACKET


def test_a_pause_of_all_tracks_is_filled() -> None:
    call = tracks("inbound")
    assert sent(call, ("inbound", b"\1" * PACKET, 0), ("inbound", b"\2" * PACKET, 1020)) == (
        b"\1" * PACKET + b"\xff" * 8000 + b"\2" * PACKET
    )


def test_silence_is_that_of_the_encoding() -> None:
    call = Tracks(("inbound",), "pcma")
    assert call.feed("inbound", b"\1", 500) + call.rest() == b"\xd5" * 4000 + b"\1"


SPEECH = speech("inbound", 1, 5)


def test_times_that_are_rounded_make_no_gaps() -> None:
    shifts = (0, 3, -4, 9, -9)
    times = [20 * number + shift for number, shift in enumerate(shifts)]
    packets = [("inbound", packet, at_ms) for (_, packet, _), at_ms in zip(SPEECH, times, strict=True)]
    assert sent(tracks("inbound"), *packets) == b"".join(packet for _, packet, _ in packets)


@pytest.mark.parametrize("at_ms", [10**11, MAX_GAP_SAMPLES, 0])
def test_a_wrong_time_moves_nothing_and_loses_nothing(at_ms: int) -> None:
    """Too far ahead, or of audio that has been sent."""
    call = tracks("inbound")
    packets = [*SPEECH, ("inbound", b"\7" * PACKET, at_ms), ("inbound", b"\10" * PACKET, None)]
    assert sent(call, *packets) == b"".join(packet for _, packet, _ in packets)


@pytest.mark.parametrize("shift_ms", [-9, 0, 9])
def test_a_late_packet_with_a_rounded_time_fills_its_gap_whole(shift_ms: int) -> None:
    first, late, last = SPEECH[:3]
    packets = [first, last, ("inbound", late[1], 20 + shift_ms)]
    assert sent(tracks("inbound"), *packets) == first[1] + late[1] + last[1]


def test_a_late_packet_that_is_longer_than_its_gap_is_not_cut() -> None:
    first, _, last = SPEECH[:3]
    long = b"\7" * (2 * PACKET)
    assert sent(tracks("inbound"), first, last, ("inbound", long, 20)) == first[1] + b"\xff" * PACKET + last[1] + long


@given(st.randoms(use_true_random=False))
def test_packets_in_another_order_are_put_in_order(chance: random.Random) -> None:
    """Within the time for which a missing packet is awaited."""
    packets = [*speech("inbound", 1, 12), *speech("outbound", 2, 12)]
    packets.sort(key=lambda packet: (packet[2] or 0) + chance.uniform(0, 100))
    heard = sent(tracks(), *packets)
    for index, name in enumerate(BOTH):
        whole = sorted((at_ms or 0, packet) for track, packet, at_ms in packets if track == name)
        assert heard[index::2] == b"".join(packet for _, packet in whole)


@given(
    st.lists(st.tuples(st.sampled_from(BOTH), st.binary(max_size=400), st.none() | st.integers(0, 70_000)), max_size=20)
)
def test_whatever_comes_channels_have_the_same_length_and_nothing_is_lost(packets: list[Packet]) -> None:
    """Except for the samples by which a packet may be longer than the gap that it fills."""
    heard = sent(tracks(), *packets)
    assert len(heard) % 2 == 0
    for index, name in enumerate(BOTH):
        audio = b"".join(packet for track, packet, _ in packets if track == name)
        kept = len(heard[index::2].replace(b"\xff", b""))
        assert kept <= len(audio)
        assert kept >= len(audio.replace(b"\xff", b"")) - 80 * len(packets)
    assert len(heard) <= 2 * len(packets) * (MAX_GAP_SAMPLES + 400)
