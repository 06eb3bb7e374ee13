"""The demuxers and decoders of the installed PyAV that may run on untrusted bytes: all that read audio, and no others.

Excluded are those that read other files, devices or the network, generate audio, or read pictures and text.
"""

import re
from functools import cache
from typing import Final

from av.codec import Codec, codecs_available
from av.codec.codec import UnknownCodecError
from av.format import ContainerFormat, formats_available

_NO_FILE: Final = 1
"""AVFMT_NOFILE: does not read the given file."""
_REFERENCES: Final = "applehttp concat dash hls imf mlv mpjpeg mxg rtp rtsp sap sbg sdp vobsub webm_dash_manifest"
_TEXT: Final = (
    "aqtitle ass bin dvbsub dvbtxt ffmetadata idf adf jacosub lrc mcc microdvd mpl2 mpsub pjs rcwt realtext sami scc "
    "srt stl subviewer subviewer1 sup tedcaptions tty txd vplayer webvtt xbin"
)
_PICTURES: Final = (
    r".*_pipe|data|image2.*|gif|apng|ico|svs|rawvideo|.*video|h26\d|hevc|vvc|evc|av1|obu|apv|webp_anim|jpegxl_anim"
)
_SNIFFED: Final = r"mov|mp4|m4a|3gp|3g2|mj2"
"""Used only if our own detection finds them, so that their tables are checked first."""
_GENERATED: Final = ("anull", "wavesynth", "comfortnoise")


@cache
def audio_decoders() -> frozenset[str]:
    """Names of all decoders of audio."""
    return frozenset(name for name in codecs_available if _is_audio(name) and name not in _GENERATED)


@cache
def has_demuxer(name: str) -> bool:
    return name in formats_available


@cache
def guessable_demuxers() -> str:
    """Demuxers that ffmpeg may choose by itself, for its option `format_whitelist`."""
    never = re.compile("|".join((*f"{_REFERENCES} {_TEXT}".split(), _PICTURES, _SNIFFED)))
    names = (one for name in formats_available if _reads_a_file(name) for one in name.split(","))
    return ",".join(sorted({name for name in names if not never.fullmatch(name)}))


def _is_audio(name: str) -> bool:
    try:
        return Codec(name, "r").type == "audio"
    except UnknownCodecError:  # an encoder
        return False


def _reads_a_file(name: str) -> bool:
    try:
        return not ContainerFormat(name, "r").flags & _NO_FILE
    except ValueError:  # a muxer
        return False
