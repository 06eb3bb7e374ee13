"""The languages that models here support: ISO 639 codes, English names, and every usual spelling. Pure.

A language may be given as a code of two or three letters (`de`, `deu`, `ger`), a tag with a region or a script
(`de-AT`, `zh_Hans`), or an English name. Codes are those of Whisper's tokenizer, and names are spelled as in OpenAI's
API.
"""

import re
from typing import Final

_TABLE: Final = (
    "af:afr:afrikaans am:amh:amharic ar:ara,arb:arabic as:asm:assamese az:aze,azj:azerbaijani ba:bak:bashkir "
    "be:bel:belarusian bg:bul:bulgarian bn:ben:bengali bo:bod,tib:tibetan br:bre:breton bs:bos:bosnian "
    "ca:cat:catalan cs:ces,cze:czech cy:cym,wel:welsh da:dan:danish de:deu,ger:german el:ell,gre:greek "
    "en:eng:english es:spa:spanish et:est,ekk:estonian eu:eus,baq:basque fa:fas,per,pes,prs:persian fi:fin:finnish "
    "fo:fao:faroese fr:fra,fre:french gl:glg:galician gu:guj:gujarati ha:hau:hausa haw::hawaiian he:heb,iw:hebrew "
    "hi:hin:hindi hr:hrv:croatian ht:hat:haitian_creole hu:hun:hungarian hy:hye,arm:armenian id:ind,in:indonesian "
    "is:isl,ice:icelandic it:ita:italian ja:jpn:japanese jw:jv,jav:javanese ka:kat,geo:georgian kk:kaz:kazakh "
    "km:khm:khmer kn:kan:kannada ko:kor:korean la:lat:latin lb:ltz:luxembourgish ln:lin:lingala lo:lao:lao "
    "lt:lit:lithuanian lv:lav,lvs:latvian mg:mlg,plt:malagasy mi:mri,mao:maori mk:mkd,mac:macedonian "
    "ml:mal:malayalam mn:mon,khk:mongolian mr:mar:marathi ms:msa,may,zsm:malay mt:mlt:maltese my:mya,bur:myanmar "
    "ne:nep,npi:nepali nl:nld,dut:dutch nn:nno:nynorsk no:nor,nb,nob:norwegian oc:oci:occitan pa:pan:punjabi "
    "pl:pol:polish ps:pus,pbt:pashto pt:por:portuguese ro:ron,rum,mo,mol:romanian ru:rus:russian sa:san:sanskrit "
    "sd:snd:sindhi si:sin:sinhala sk:slk,slo:slovak sl:slv:slovenian sn:sna:shona so:som:somali "
    "sq:sqi,alb,als:albanian sr:srp:serbian su:sun:sundanese sv:swe:swedish sw:swa,swh:swahili ta:tam:tamil "
    "te:tel:telugu tg:tgk:tajik th:tha:thai tk:tuk:turkmen tl:tgl,fil:tagalog tr:tur:turkish tt:tat:tatar "
    "uk:ukr:ukrainian ur:urd:urdu uz:uzb,uzn:uzbek vi:vie:vietnamese yi:yid,ydd,ji:yiddish yo:yor:yoruba "
    "yue::cantonese zh:zho,chi,cmn:chinese"
)
"""For each language its code, its other codes, and its name."""
_OTHER_NAMES: Final = (
    "bokmål:no bokmal:no burmese:my castilian:es farsi:fa filipino:tl flemish:nl haitian:ht letzeburgesch:lb "
    "mandarin:zh moldavian:ro moldovan:ro norwegian_bokmål:no norwegian_bokmal:no norwegian_nynorsk:nn panjabi:pa "
    "pushto:ps sinhalese:si valencian:ca"
)
_DETECTED: Final = frozenset({"auto", "detect", "und", "unknown"})
"""Values that leave the language to the model; `verbose_json` uses `unknown` for audio without speech."""
_TAG: Final = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{3}))?(?:[-_][a-z0-9]{1,8})*(?:[.@][a-z0-9@.-]+)?")
"""A BCP 47 tag, or the name of a POSIX locale: a language, an optional extended language, and parts that are
ignored."""
_IN_BRACKETS: Final = re.compile(r"\s*\(.*\)\s*\Z")
MAX_CHARS: Final = 100

_ROWS: Final = [(code, others, name.replace("_", " ")) for code, others, name in (r.split(":") for r in _TABLE.split())]
NAMES: Final = {code: name for code, _, name in _ROWS}
_CODES: Final = {
    other: code for code, others, name in _ROWS for other in (code, name, *filter(None, others.split(",")))
} | {name.replace("_", " "): code for name, code in (pair.split(":") for pair in _OTHER_NAMES.split())}


def is_detected(text: str) -> bool:
    """Whether a value means that the language is to be detected."""
    return text.strip().casefold() in _DETECTED


def language_code(text: str) -> str | None:
    """The code of the language that a text means; None if it means none.

    A well-formed code that is not in the table is returned unchanged: a model may support it.
    """
    if len(text) > MAX_CHARS:
        return None
    given = text.strip().casefold()
    name = " ".join(_IN_BRACKETS.sub("", given).replace("_", " ").split())
    if name in _CODES:
        return _CODES[name]
    tag = _TAG.fullmatch(given)
    if tag is None:
        return None
    language, included = tag.groups()
    return _CODES.get(included or "") or _CODES.get(language, language)
