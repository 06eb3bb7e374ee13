"""Masks all but the first letter of profane words. Pure.

The lists are short: words that are profane in nearly every sentence. An entry with `*` matches any ending.
"""

import re
from functools import cache
from typing import Final

from worker.wording.edits import Edit

PROFANE: Final = {
    "en": "arse arses arsehole* asshole* bastard* bitch* bollocks bullshit* cocksuck* cunt* dickhead* faggot* fuck* "
    "goddamn* horseshit motherfuck* nigga niggas niggaz nigger niggers piss pissed pissing prick pricks pussy "
    "pussies shit shite shits shithead* shithole* shitter* shitty shitting slut* twat* wank wanking wanker* "
    "whore*",
    "de": "arsch arsches ärsche ärschen arschloch* arschlöcher* beschissen* bitch* fick ficke fickst fickt ficken* "
    "gefickt* fotze* hure huren hurensohn* hurensöhne* kacke kacken kackt miststück* nutte* scheiss* scheiß* "
    "schlampe* verfickt* verpiss* wichs wichse wichsen wichst wichser*",
    "es": "cabron* cabrón* cojones coño* cojonud* follar* gilipollas gilipolleces gilipollez hijoputa* hijueput* jode "
    "jodes joden jodan joder* jodid* maricon* maricón* mierda* pendej* polla pollas puta putas puto putos "
    "putada* chinga* chingad* chingón chingona* chingones verga",
    "fr": "bordel connard* connasse* connerie* couille* emmerd* enculé* encule* enfoiré* foutre foutu foutue foutus "
    "foutues merde* merdique* niquer* nique niqué niquée niqués putain* pute putes salaud* salopard* salope*",
    "it": "bastard* cazzo cazzi cazzat* coglion* cornut* figlioputtana fott* incazzat* merda merde merdos* minchia "
    "puttan* stronzo stronza stronzi stronze stronzat* stronzett* stronzon* vaffanculo zoccola fanculo",
}
HARMLESS_ELSEWHERE: Final = frozenset({"fick", "pute", "slut*"})
"""Not masked if the language is unknown: common words of another one (Swedish "got" and "end", German "turkey")."""


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
    left_out = HARMLESS_ELSEWHERE if language is None else frozenset()
    entries = sorted({entry for words in lists for entry in words.split()} - left_out, key=len, reverse=True)
    one = "|".join(re.escape(entry.removesuffix("*")) + (r"\w*" if entry.endswith("*") else "") for entry in entries)
    return re.compile(rf"(?<!\w)(?:{one})(?!\w)", re.IGNORECASE)
