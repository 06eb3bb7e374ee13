"""Counts of tokens in OpenAI's form for transcripts. Pure."""

from typing import Any

from shared.events import Usage


def token_usage(usage: Usage) -> dict[str, Any]:
    """`input_tokens` are those of the audio and of the prompt. Whisper's are positions of its encoder, of 20 ms."""
    return {
        "type": "tokens",
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
