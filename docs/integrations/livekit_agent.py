"""A LiveKit agent that prints what the people in a room say. Add `llm` and `tts` to the session to make it answer."""

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, StopResponse, UserInputTranscribedEvent, stt
from livekit.agents.llm import ChatContext, ChatMessage
from livekit.plugins import deepgram, openai

URL = os.environ.get("VOXTRAL_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("VOXTRAL_KEY", "none")
PLUGIN = os.environ.get("PLUGIN", "openai")

server = AgentServer()


def speech_to_text() -> stt.STT:
    if PLUGIN == "deepgram":
        return deepgram.STTv2(
            base_url=f"{URL}/v2/listen",  # the line to change
            api_key=KEY,
            model="flux-general-multi",
            eager_eot_threshold=0.5,
        )
    return openai.STT(
        base_url=f"{URL}/v1",  # the line to change
        api_key=KEY,
        model="auto",
        use_realtime=True,
        detect_language=True,
        turn_detection={"type": "semantic_vad", "eagerness": "medium"},
    )


class Listener(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="This agent only listens.")

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        print(f"turn: {new_message.text_content}", flush=True)
        raise StopResponse  # there is no language model to answer


def listening() -> AgentSession[None]:
    """A session whose turns end when Voxtral Real-time Streaming says so."""
    session: AgentSession[None] = AgentSession(stt=speech_to_text(), vad=None, turn_handling={"turn_detection": "stt"})

    @session.on("user_input_transcribed")
    def show(event: UserInputTranscribedEvent) -> None:
        print(f"{'final' if event.is_final else 'interim'}: {event.transcript}", flush=True)

    return session


@server.rtc_session()
async def entrypoint(context: JobContext) -> None:
    await listening().start(agent=Listener(), room=context.room)
