"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from anyweave.generation import Usage

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """One server's counters, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "anyweave_requests",
            "Answers by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "anyweave_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._tokens = Counter("anyweave_tokens", "Tokens of replies.", ["kind"], registry=registry)
        self._work = Counter(
            "anyweave_part_seconds",
            "Seconds by part of the model.",
            ["modality"],
            registry=registry,
        )
        self._steps = Counter(
            "anyweave_denoising_steps", "Denoising steps.", ["modality"], registry=registry
        )
        self._gone = Counter(
            "anyweave_cancelled", "Replies whose client went away.", registry=registry
        )

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A figure that is read on demand."""
        Gauge(f"anyweave_{name}", text, registry=self._registry).set_function(read)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """An answer has ended."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_reply(self, usage: Usage) -> None:
        """A reply is complete."""
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("cached").inc(usage.cached_tokens)
        self._tokens.labels("completion").inc(usage.completion_tokens)
        for modality, seconds in usage.seconds.items():
            self._work.labels(modality).inc(seconds)
        for modality, steps in usage.steps.items():
            self._steps.labels(modality).inc(steps)

    def count_gone(self) -> None:
        """A client went away before its reply was complete."""
        self._gone.inc()

    def text(self) -> bytes:
        """All figures in Prometheus' format."""
        return generate_latest(self._registry)
