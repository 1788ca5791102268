"""The URL map. Teams' pages live under `t/<team>/`."""

from django.urls import include, path

from webapp.accounts import urls as accounts
from webapp.annotation import urls as annotation
from webapp.chat import urls as chat
from webapp.common import views as common
from webapp.config.api import api, openai_api
from webapp.datasets import urls as datasets
from webapp.endpoints import urls as endpoints
from webapp.evaluations import urls as evaluations
from webapp.evolution import urls as evolution
from webapp.health import urls as health
from webapp.jobs import urls as jobs
from webapp.registry import urls as registry
from webapp.training import urls as training
from webapp.trees import urls as trees
from webapp.uploads import urls as uploads
from webapp.webhooks import urls as webhooks

urlpatterns = [
    path("", common.home, name="home"),
    path("theme/", common.theme, name="theme"),
    path("healthz", common.healthz, name="healthz"),
    path("", include(health.instance)),
    path("", include(accounts.instance)),
    path("", include(jobs.instance)),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("v1/", openai_api.urls),
    path("t/<slug:team_slug>/", include(accounts.team)),
    path("t/<slug:team_slug>/", include(jobs.team)),
    path("t/<slug:team_slug>/", include(uploads.team)),
    path("t/<slug:team_slug>/", include(datasets.team)),
    path("t/<slug:team_slug>/", include(trees.team)),
    path("t/<slug:team_slug>/", include(annotation.team)),
    path("t/<slug:team_slug>/", include(training.team)),
    path("t/<slug:team_slug>/", include(evolution.team)),
    path("t/<slug:team_slug>/", include(registry.team)),
    path("t/<slug:team_slug>/", include(evaluations.team)),
    path("t/<slug:team_slug>/", include(webhooks.team)),
    path("t/<slug:team_slug>/", include(endpoints.team)),
    path("t/<slug:team_slug>/", include(chat.team)),
]

handler400 = "webapp.common.errors.bad_request"
handler403 = "webapp.common.errors.forbidden"
handler404 = "webapp.common.errors.not_found"
handler500 = "webapp.common.errors.server_error"
