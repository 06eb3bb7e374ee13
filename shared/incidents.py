"""Internal faults: logged under an id, which is all that a client gets."""

import secrets

import structlog

from shared.errors import InternalError

log = structlog.get_logger(__name__)


def incident(error: BaseException, session_id: str | None) -> InternalError:
    """Log an internal fault under a new id, which is all that the client gets."""
    number = secrets.token_hex(6)
    log.error("internal_error", incident=number, session_id=session_id, exc_info=error)
    return InternalError(number)
