"""Counts of tokens in OpenAI's forms, which Mistral and vLLM share. Pure.

The audio of Voxtral 3B and 24B has 375 tokens for each window of 30 s that it begins. Whisper's are positions of its
encoder, of 20 ms.
"""

from typing import Any

from shared.events import Usage


def completion_usage(usage: Usage) -> dict[str, int]:
    """Of chat completions, and of Mistral's and vLLM's transcripts."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def token_usage(usage: Usage) -> dict[str, Any]:
    """Of OpenAI's transcripts. `input_tokens` are those of the audio and of the prompt."""
    return {
        "type": "tokens",
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
