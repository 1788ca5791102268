"""URLs of jobs: those of the instance, and those inside a team."""

from django.urls import path, register_converter

from webapp.jobs.views import curves, operations, pages


class AskConverter:
    """What is asked of a job that exists."""

    regex = "pause|resume|cancel|retry"

    def to_python(self, value: str) -> str:
        """As it stands."""
        return value

    def to_url(self, value: str) -> str:
        """As it stands."""
        return value


register_converter(AskConverter, "job_ask")

instance = [
    path("operations/", operations.overview, name="operations"),
    path("operations/self-check/", operations.self_check, name="operations-self-check"),
    path("operations/backup/", operations.backup, name="operations-backup"),
    path("operations/jobs/<uuid:job_id>/", operations.job_page, name="operations-job"),
    path("operations/jobs/<uuid:job_id>/events/", operations.job_events, name="operations-job-events"),
    path("operations/jobs/<uuid:job_id>/log/<int:attempt>/", operations.job_log, name="operations-job-log"),
    path("operations/jobs/<uuid:job_id>/metrics/", operations.job_metrics, name="operations-job-metrics"),
    path("operations/jobs/<uuid:job_id>/<job_ask:ask>/", operations.job_steer, name="operations-job-steer"),
    path("operations/jobs/<uuid:job_id>/again/", operations.job_again, name="operations-job-again"),
    path("operations/workers/<uuid:worker_id>/drain/", operations.drain, name="operations-worker-drain"),
    path("operations/workers/<uuid:worker_id>/release/", operations.release, name="operations-worker-release"),
    path("operations/teams/<slug:slug>/limit/", operations.limit, name="operations-team-limit"),
]

team = [
    path("jobs/", pages.job_list, name="job-list"),
    path("jobs/<uuid:job_id>/", pages.job_page, name="job"),
    path("jobs/<uuid:job_id>/events/", pages.job_events, name="job-events"),
    path("jobs/<uuid:job_id>/metrics/", curves.job_metrics, name="job-metrics"),
    path("jobs/<uuid:job_id>/log/<int:attempt>/", pages.job_log, name="job-log"),
    path("jobs/<uuid:job_id>/<job_ask:ask>/", pages.job_steer, name="job-steer"),
    path("jobs/<uuid:job_id>/again/", pages.job_again, name="job-again"),
]
