"""Helm's own library, in a process of its own since it brings Go's runtime: reads sets of values, writes what it says.

Of each set, `rendered` has the templates by path and `lint` the messages of `helm lint`, or `error` says why Helm
rejects it.
"""

import json
import sys
from typing import Any

import helm_python

from tests.helm.chart import CHART, NAMESPACE, RELEASE


def main() -> None:
    with helm_python.Chart.load(CHART) as chart:
        json.dump([_answer(chart, values) for values in json.load(sys.stdin)], sys.stdout)


def _answer(chart: helm_python.Chart, values: dict[str, Any]) -> dict[str, Any]:
    try:
        rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    except helm_python.HelmError as error:
        return {"error": str(error)}
    return {"rendered": rendered, "lint": helm_python.lint(CHART, values, strict=True, namespace=NAMESPACE)}


if __name__ == "__main__":
    main()
