"""What a door tells Prometheus, read as Prometheus reads it."""

from __future__ import annotations

from live_managed import LiveManaged
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """(name, labels) -> value; each stands once."""
    samples = [(one.name, frozenset(one.labels.items()), one.value)
               for family in text_string_to_metric_families(text) for one in family.samples]
    found = {(name, labels): value for name, labels, value in samples}
    assert len(found) == len(samples), "a series is told twice"
    return found


def scraped(door: LiveManaged) -> Samples:
    reply = door.get("/metrics")
    assert reply.status_code == 200, reply.text
    return parsed(reply.text)


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def names_in(samples: Samples) -> set[str]:
    return {name for name, _ in samples}
