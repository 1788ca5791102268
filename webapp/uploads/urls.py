"""URLs of uploads inside a team."""

from django.urls import path

from webapp.uploads.views import judgements, mapping, rejected, sending

team = [
    path("datasets/upload/", sending.upload_new, name="upload-new"),
    path("uploads/<uuid:upload_id>/", mapping.upload_page, name="upload"),
    path("uploads/<uuid:upload_id>/preview/", mapping.upload_preview, name="upload-preview"),
    path("uploads/<uuid:upload_id>/discard/", sending.upload_discard, name="upload-discard"),
    path("queues/<uuid:queue_id>/import/", judgements.judgement_import, name="judgement-import"),
    path("datasets/versions/<uuid:version_id>/rejected/", rejected.rejected_rows, name="dataset-rejected"),
    path("datasets/versions/<uuid:version_id>/rejected/file/", rejected.rejected_file, name="dataset-rejected-file"),
]
