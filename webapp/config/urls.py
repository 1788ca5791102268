"""The URL map. Teams' pages live under `t/<team>/`."""

from django.urls import include, path

from webapp.accounts import urls as accounts
from webapp.common import views as common

urlpatterns = [
    path("", common.home, name="home"),
    path("healthz", common.healthz, name="healthz"),
    path("accounts/", include("allauth.urls")),
    path("", include(accounts.instance)),
    path("t/<slug:team_slug>/", include(accounts.team)),
]

handler400 = "webapp.common.errors.bad_request"
handler403 = "webapp.common.errors.forbidden"
handler404 = "webapp.common.errors.not_found"
handler500 = "webapp.common.errors.server_error"
