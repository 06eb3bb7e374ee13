"""The totals of the service as Prometheus' counters and histograms."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

import orjson
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from shared.errors import VoxtralError
from shared.metrics.families import CLIENTS_STALLED, DELIVERY_RESULTS, ERRORS, FAMILIES, WEBHOOK_DELIVERIES, Family
from shared.metrics.metrics import INFINITE, SUM

Place = float | str
Series = dict[tuple[str, ...], dict[Place, float]]
"""By labels: the increments of each bucket and of the sum, or the value of a counter."""
VALUE: Final = "value"


def families_of(totals: dict[bytes, float] | None) -> Iterator[Metric]:
    """All families, with the totals of `Monotone.totals`. None stands for unknown totals: then there is no series."""
    found = _series(totals or {})
    if totals is not None:
        for code in sorted(_error_codes()):
            # A counter that begins above zero has not increased for Prometheus: the first error would raise no alert.
            found[ERRORS.name].setdefault((code,), {VALUE: 0.0})
        found[CLIENTS_STALLED.name].setdefault((), {VALUE: 0.0})
        for result in DELIVERY_RESULTS:
            found[WEBHOOK_DELIVERIES.name].setdefault((result,), {VALUE: 0.0})
    for family in FAMILIES:
        yield _histogram(family, found[family.name]) if family.buckets else _counter(family, found[family.name])


def _series(totals: dict[bytes, float]) -> dict[str, Series]:
    """By family. Fields of families that this version does not have are ignored: another version has written them."""
    found: dict[str, Series] = {family.name: {} for family in FAMILIES}
    known = {family.name: family for family in FAMILIES}
    for field, value in totals.items():
        name, *words = orjson.loads(field)
        family = known.get(name)
        if family is None or len(words) != len(family.labels) + bool(family.buckets):
            continue
        place: Place = words.pop() if family.buckets else VALUE
        found[name].setdefault(tuple(words), {})[place] = value
    return found


def _counter(family: Family, series: Series) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, places in sorted(series.items()):
        metric.add_metric(labels, places[VALUE])
    return metric


def _histogram(family: Family, series: Series) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(floatToGoString, family.buckets), "+Inf"]
    for labels, places in sorted(series.items()):
        metric.add_metric(labels, list(zip(bounds, accumulate(_counts(family, places)), strict=True)), places.get(SUM))
    return metric


def _counts(family: Family, places: dict[Place, float]) -> Iterable[float]:
    """The observations of each bucket. Those of a bucket that another version had are in the next larger one."""
    counts = [0.0] * (len(family.buckets) + 1)
    for place, count in places.items():
        if place == INFINITE:
            counts[-1] += count
        elif isinstance(place, float | int):
            counts[bisect_left(family.buckets, place)] += count
    return counts


def _error_codes() -> set[str]:
    codes, kinds = {VoxtralError.code}, [VoxtralError]
    while kinds:
        kinds = [below for kind in kinds for below in kind.__subclasses__()]
        codes |= {kind.code for kind in kinds}
    return codes
