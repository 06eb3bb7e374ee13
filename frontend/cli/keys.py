"""`voxtral keys new`: creates an API key. Writes no file: the user puts the line into the list of keys.

The key itself is shown once and not stored.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from frontend.access.key_list import LIMITS, NAME_ALLOWED, is_expired, is_key_name, parse_keys
from frontend.access.tokens import digest, new_token
from shared.errors import StartupError, shown

KEY_PREFIX: Final = "vox_"
WHEN: Final = "days such as 90d, or a time such as 2027-01-31 or 2027-01-31T12:00:00Z"
_DAYS: Final = re.compile(r"([0-9]{1,5})d")


def new_key(
    name: str, expires: str | None, limits: dict[str, int | None], *, operator: bool = False
) -> tuple[str, str]:
    """A new key, and the line for the list of keys. `expires` is a time as in the list, or days such as `90d`.

    Raises click.BadParameter with the error that the list would raise, and for a key that has already expired.
    """
    if not is_key_name(name):
        raise click.BadParameter(f"'name' is {shown(name)}; allowed: {NAME_ALLOWED}.")
    key = new_token(KEY_PREFIX)
    fields = {"name": name, "sha256": digest(key)}
    if expires is not None:
        fields["expires"] = _moment(expires)
    if operator:
        fields["operator"] = "true"
    fields |= {limit: str(limits[limit]) for limit in LIMITS if limits[limit] is not None}
    line = f"- {{{', '.join(f'{field}: {value}' for field, value in fields.items())}}}"
    try:
        (made,) = parse_keys(line, "The key")
    except StartupError as error:
        raise click.BadParameter(str(error).partition(": ")[2]) from None  # the line number is meaningless here
    if is_expired(made):
        raise click.BadParameter(f"The key has already expired: 'expires' is {shown(expires)}.")
    return key, line


def _moment(expires: str) -> str:
    days = _DAYS.fullmatch(expires)
    if days is None:
        try:
            datetime.fromisoformat(expires)
        except ValueError:
            raise click.BadParameter(f"'expires' is {shown(expires)}; allowed: {WHEN}.") from None
        return expires
    return (datetime.now(UTC) + timedelta(days=int(days[1]))).strftime("%Y-%m-%dT%H:%M:%SZ")
