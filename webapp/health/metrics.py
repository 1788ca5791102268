"""Figures for Prometheus, read from the database when they are asked for: every web process tells the same."""

from collections.abc import Iterator

from django.utils import timezone
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from webapp.health import selectors
from webapp.jobs.kinds import Queue
from webapp.jobs.selectors import queues_overview

BOUNDS = (1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0)
"""Of the durations of jobs, seconds."""


class StudioCollector(Collector):
    """Queues, workers, leases, jobs."""

    def collect(self) -> Iterator[Metric]:
        """Every figure."""
        yield from _queues()
        yield from _workers()
        yield from _jobs()

    def describe(self) -> Iterator[Metric]:
        """Nothing before it is asked: registering must not read the database."""
        yield from ()


def exposition() -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(StudioCollector())
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _queues() -> Iterator[Metric]:
    depth = GaugeMetricFamily("meds3_jobs_queued", "Jobs that wait in a queue.", labels=["queue"])
    running = GaugeMetricFamily("meds3_jobs_running", "Jobs in the hands of workers.", labels=["queue"])
    age = GaugeMetricFamily("meds3_oldest_queued_seconds", "Age of the oldest job that waits.", labels=["queue"])
    rows = {row["queue"]: row for row in queues_overview()}
    now = timezone.now()
    for queue in Queue:
        row = rows.get(queue, {"queued": 0, "running": 0, "oldest_queued": None})
        depth.add_metric([queue], row["queued"])
        running.add_metric([queue], row["running"])
        oldest = row["oldest_queued"]
        age.add_metric([queue], max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)
    yield from (depth, running, age)


def _workers() -> Iterator[Metric]:
    workers = GaugeMetricFamily("meds3_workers", "Workers by what they are doing.", labels=["queue", "what"])
    for row in selectors.workers_by_queue():
        for what in ("known", "alive", "busy", "draining"):
            workers.add_metric([row["queue"], what], row[what])
    leased = GaugeMetricFamily("meds3_device_leased_share", "Share of a device in use.", labels=["host", "device"])
    for row in selectors.device_leases_by_device():
        leased.add_metric([row["host"], row["device_uuid"]], row["share"] or 0.0)
    speed = GaugeMetricFamily("meds3_tokens_per_second", "Of running jobs that measure it.", labels=["kind"])
    for kind, value in selectors.tokens_per_second().items():
        speed.add_metric([kind], value)
    yield from (workers, leased, speed)


def _jobs() -> Iterator[Metric]:
    jobs = GaugeMetricFamily("meds3_jobs", "Jobs that there are, by kind and state.", labels=["kind", "state"])
    for row in selectors.job_counts():
        jobs.add_metric([row["kind"], row["state"]], row["count"])
    took = HistogramMetricFamily(
        "meds3_job_duration_seconds", "From the first start to the end of jobs.", labels=["kind"]
    )
    for row in selectors.job_durations(bounds=BOUNDS):
        buckets = [(str(bound), float(row[f"le_{index}"])) for index, bound in enumerate(BOUNDS)]
        total = row["seconds"].total_seconds() if row["seconds"] is not None else 0.0
        took.add_metric([row["kind"]], [*buckets, ("+Inf", float(row["count"]))], total)
    yield from (jobs, took)
