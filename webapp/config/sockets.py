"""The map of sockets, `/ws/…`. Each class says who may open it (webapp.common.sockets); an app adds its lines here."""

from django.urls import path, re_path

from webapp.chat.consumers import ConversationSocket, DuelSocket
from webapp.common.sockets import no_such_socket
from webapp.jobs.live import consumers as jobs

sockets = [
    path("ws/t/<slug:team_slug>/jobs/", jobs.TeamJobsSocket.as_asgi()),
    path("ws/t/<slug:team_slug>/jobs/<uuid:job_id>/", jobs.JobSocket.as_asgi()),
    path("ws/t/<slug:team_slug>/chat/<uuid:conversation_id>/", ConversationSocket.as_asgi()),
    path("ws/t/<slug:team_slug>/comparisons/<uuid:duel_id>/", DuelSocket.as_asgi()),
    path("ws/operations/", jobs.OperationsSocket.as_asgi()),
    path("ws/operations/jobs/<uuid:job_id>/", jobs.OwnJobSocket.as_asgi()),
    path("ws/notices/", jobs.NoticeSocket.as_asgi()),
]

urlpatterns = [*sockets, re_path(r"", no_such_socket)]
