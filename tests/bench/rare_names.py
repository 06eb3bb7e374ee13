"""Sentences full of rare names, for measuring key terms: one part to choose settings on, one to report.

No name of one part is in the other. A third list holds names that no sentence has.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sentence:
    text: str
    terms: tuple[str, ...]
    """The rare names and words in it, as they are written there."""


CHOSEN_ON: Final = (
    Sentence("Doctor Kowalczyk prescribed Zyrtalin for the whole family.", ("Kowalczyk", "Zyrtalin")),
    Sentence("The server in Reykjavik runs Kubernetes and Grafana.", ("Reykjavik", "Kubernetes", "Grafana")),
    Sentence("Please forward the invoice to Siobhan Gallagher before noon.", ("Siobhan", "Gallagher")),
    Sentence("We compared Voxtral with Mistral on the same recordings.", ("Voxtral", "Mistral")),
    Sentence(
        "Mister Thackeray moved from Llandudno to Aberystwyth last year.", ("Thackeray", "Llandudno", "Aberystwyth")
    ),
    Sentence("The patient takes Metoprolol in the morning and Xarelto at night.", ("Metoprolol", "Xarelto")),
    Sentence("Our partner Brightquill will present the Nimbora prototype.", ("Brightquill", "Nimbora")),
    Sentence("Yevgenia and Bartholomew repaired the telescope together.", ("Yevgenia", "Bartholomew")),
    Sentence("The Oglethorpe bridge is closed because of the storm.", ("Oglethorpe",)),
    Sentence("Ask Priyanka whether the Celery workers use Valkey.", ("Priyanka", "Celery", "Valkey")),
)  # fmt: skip
"""Settings were chosen on these."""

REPORTED: Final = (
    Sentence("Professor Wojciechowski teaches geology at the university.", ("Wojciechowski",)),
    Sentence("The nurse gave him Apixaban and a small dose of Tramadol.", ("Apixaban", "Tramadol")),
    Sentence(
        "Lieutenant Featherstonehaugh missed the train to Worcestershire.", ("Featherstonehaugh", "Worcestershire")
    ),
    Sentence("Quentara bought the start up Velmiro for nine million.", ("Quentara", "Velmiro")),
    Sentence("The logs from Prometheus are stored in Elasticsearch.", ("Prometheus", "Elasticsearch")),
    Sentence("Niamh and Oisin will meet the tourists in Drogheda.", ("Niamh", "Oisin", "Drogheda")),
    Sentence("My colleague Agnieszka lives near the old harbour in Gdansk.", ("Agnieszka", "Gdansk")),
    Sentence("The new drug Lisinopril is cheaper than Ramipril.", ("Lisinopril", "Ramipril")),
    Sentence("Mister Abernathy sold the Tolvanen painting to a museum.", ("Abernathy", "Tolvanen")),
    Sentence("We deployed the Terraform module with Ansible on Tuesday.", ("Terraform", "Ansible")),
    Sentence("Captain Marchbanks anchored the ship off Pitcairn.", ("Marchbanks", "Pitcairn")),
    Sentence("The chef served gnocchi with a glass of Gewurztraminer.", ("gnocchi", "Gewurztraminer")),
    Sentence("Zbigniew wrote a letter to Isolde about the garden.", ("Zbigniew", "Isolde")),
    Sentence("Their lawyer Mrs Cholmondeley called the office in Kirkcudbright.", ("Cholmondeley", "Kirkcudbright")),
    Sentence("The Hyperlynx router needs a firmware update from Draytonix.", ("Hyperlynx", "Draytonix")),
    Sentence("Saoirse plays the cello in the orchestra of Ljubljana.", ("Saoirse", "Ljubljana")),
)  # fmt: skip
"""Figures are reported on these."""

ABSENT: Final = tuple(
    f"{first}{last}"
    for first in ("Bel", "Cor", "Dan", "Fen", "Gar", "Hol", "Jor", "Kes", "Lam", "Mor", "Nol", "Per", "Quin", "Ros",
                  "Sel", "Tam", "Ul", "Ver", "Wil", "Yar")
    for last in ("andria", "borough", "cito", "dovan", "elius", "fax", "gren", "hurst", "ix", "ley")
)  # fmt: skip
"""200 names that nobody says."""
