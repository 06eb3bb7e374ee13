"""Celery's dashboard: `python -m compose.flower` becomes Flower.

Without `flower.basic_auth` it is open to this machine only. Secrets (broker URL, password) reach it in its
environment, never on a command line that every user of the machine may read.
"""

import os
import sys

from shared.celery_config import broker_url
from shared.config import Settings
from shared.entry import run_process

TASKS_KEPT = 2000
"""Flower keeps tasks in memory; its own default is 100 000."""


def main(settings: Settings) -> int:
    command = [sys.executable, "-m", "celery", "flower", *_options(settings)]
    sys.stderr.flush()
    os.execve(sys.executable, command, os.environ | _environment(settings))  # noqa: S606 -- no shell is wanted


def _options(settings: Settings) -> list[str]:
    return [
        f"--port={settings.flower.port}",
        f"--address={settings.server.host if settings.flower.basic_auth else '127.0.0.1'}",
        f"--max-tasks={TASKS_KEPT}",
        "--purge-offline-workers=60",
        "--logging=error",
    ]


def _environment(settings: Settings) -> dict[str, str]:
    environment = {"CELERY_BROKER_URL": broker_url(settings), "PYTHONWARNINGS": "ignore"}
    if settings.flower.basic_auth:
        environment["FLOWER_BASIC_AUTH"] = settings.flower.basic_auth.get_secret_value()
    return environment


if __name__ == "__main__":
    sys.exit(run_process(main, "flower"))
