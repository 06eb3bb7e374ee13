"""Masks all but the first letter of profane words. Pure.

The lists are short: words that are profane in nearly every sentence. An entry with `*` matches any ending.
"""

import re
from functools import cache
from typing import Final

from worker.wording.edits import Edit

PROFANE: Final = {
    "en": "arsehole* asshole* bastard* bitch* bollocks bullshit* cocksuck* cunt* dickhead* faggot* fuck* goddamn* "
    "horseshit motherfuck* nigga niggas nigger niggers piss pissed prick pricks pussy shit shits shitty shitting slut* "
    "twat* wanker* whore*",
    "de": "arsch arsches arschloch* arschlöcher* beschissen* bitch* fick fickt ficken* gefickt* fotze* hure huren "
    "hurensohn* hurensöhne* kacke miststück* nutte* scheiss* scheiß* schlampe* verfickt* verpiss* wichser*",
    "es": "cabron* cabrón* cojones coño* follar* gilipollas hijoputa* joder* jodid* maricon* maricón* mierda* "
    "pendej* polla puta putas puto putos putada* chinga* chingad* verga",
    "fr": "bordel connard* connasse* connerie* couille* enculé* encule* enfoiré* foutre merde* merdique* niquer* "
    "nique putain* pute putes salaud* salope*",
    "it": "bastard* cazzo cazzi cazzat* coglion* cornut* figlioputtana fottut* fottere incazzat* merda merde merdos* "
    "minchia puttan* stronz* vaffanculo zoccola fanculo",
}


def edits(text: str, language: str | None) -> list[Edit]:
    """Masks the words of the language; of every list if the language is unknown, of none if it has no list."""
    if language is not None and language not in PROFANE:
        return []
    return [
        Edit(found.start() + 1, found.end(), "*" * (found.end() - found.start() - 1))
        for found in _pattern(language).finditer(text)
    ]


@cache
def _pattern(language: str | None) -> re.Pattern[str]:
    lists = PROFANE.values() if language is None else [PROFANE[language]]
    entries = sorted({entry for words in lists for entry in words.split()}, key=len, reverse=True)
    one = "|".join(re.escape(entry.removesuffix("*")) + (r"\w*" if entry.endswith("*") else "") for entry in entries)
    return re.compile(rf"(?<!\w)(?:{one})(?!\w)", re.IGNORECASE)
