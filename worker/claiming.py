"""What a claimed session is in its worker: made from the hash and the finals that Redis holds. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from shared.bus.ownership import Owner
from shared.session_options import SessionOptions
from worker.channels.session import ChannelSession
from worker.channels.states import ChannelStates, decoded_voices
from worker.claim import Claim, Opening
from worker.commitment import Commitment
from worker.handles import handle_of
from worker.second_pass.revisions import Revisions
from worker.session import WorkerSession
from worker.track import Track


def claimed(
    owner: Owner,
    held: Mapping[bytes, bytes],
    finals: Sequence[dict[str, Any]],
    now_s: float,
    kept_samples: int,
    *,
    revisions: Revisions | None = None,
) -> WorkerSession:
    """The session whose hash after the claim is `held`; `finals` are its finals as clients see them.

    `revisions` are those of a worker with a second model.
    """
    options = SessionOptions.from_wire(orjson.loads(held[b"options"]))
    checkpoint_samples, segment = int(held[b"checkpoint"]), int(held[b"segment"])
    claim = Claim(
        owner=owner,
        options=options,
        seq=int(held[b"seq"]),
        checkpoint_samples=checkpoint_samples,
        segment=segment,
        texts=tuple(final["text"] for final in finals),
        speakers=held.get(b"speakers", b""),
        answered_commit=held.get(b"answered", b""),
        key_name=held.get(b"key", b"").decode(),
    )
    stored = held.get(b"committed")
    if options.channels is not None:
        states = ChannelStates.decoded(stored, options.channels, checkpoint_samples=checkpoint_samples, segment=segment)
        tracks = channel_tracks(claim, states)
        session: WorkerSession = ChannelSession(
            claim, tracks, now_s, kept_samples, revisions=revisions, states=states, finals=finals
        )
    else:
        claim = replace(claim, committed=Commitment.decoded(stored, segment))
        session = WorkerSession(claim, single_track(claim), now_s, kept_samples, revisions=revisions)
    if revisions is not None:
        revisions.open(session.openings)
    return session


def single_track(claim: Claim) -> tuple[Track, ...]:
    """The track of a session whose audio is one channel."""
    kept = claim.committed or Commitment(claim.segment)
    handle = handle_of(claim.owner.session_id, claim.owner.fence)
    return (Track(Opening(handle, claim.checkpoint_samples, claim.segment, kept), claim.options, claim.speakers),)


def channel_tracks(claim: Claim, states: ChannelStates) -> tuple[Track, ...]:
    """A track for each channel, as its former owner has left it."""
    voices = decoded_voices(claim.speakers, len(states.channels))
    tracks = []
    for channel, (state, known) in enumerate(zip(states.channels, voices, strict=True)):
        committed = state.committed or Commitment(state.segment)
        handle = handle_of(claim.owner.session_id, claim.owner.fence, channel)
        opening = Opening(handle, state.checkpoint_samples, state.segment, committed)
        tracks.append(Track(opening, claim.options, known, channel=channel, label_prefix=str(channel)))
    return tuple(tracks)
