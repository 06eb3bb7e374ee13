"""The HTTP APIs of OpenAI and Mistral, put on an application."""

from fastapi import FastAPI

from frontend.api import chat, middleware, models, transcriptions
from frontend.sessions.gateway import Gateway
from shared.config import Settings


def mount(app: FastAPI, settings: Settings, gateway: Gateway) -> None:
    """Their routes, and how everything under `/v1` answers errors."""
    middleware.install(app, gateway.tally.count_error)
    app.include_router(transcriptions.router(settings, gateway))
    app.include_router(models.router(gateway))
    app.include_router(chat.router(settings, gateway))
