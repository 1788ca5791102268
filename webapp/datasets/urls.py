"""URLs of datasets, versions, questions and exports inside a team."""

from django.urls import path

from webapp.datasets.views import curricula, datasets, exports, questions

team = [
    path("datasets/", datasets.dataset_list, name="dataset-list"),
    path("datasets/<uuid:dataset_id>/", datasets.dataset_page, name="dataset"),
    path("datasets/<uuid:dataset_id>/change/", datasets.dataset_edit, name="dataset-change"),
    path("datasets/<uuid:dataset_id>/delete/", datasets.dataset_remove, name="dataset-delete"),
    path("datasets/versions/<uuid:version_id>/", datasets.version_page, name="dataset-version"),
    path("datasets/versions/<uuid:version_id>/check/", datasets.version_check, name="dataset-check"),
    path("datasets/versions/<uuid:version_id>/alike/", questions.alike, name="dataset-alike"),
    path("datasets/versions/<uuid:version_id>/delete/", datasets.version_remove, name="dataset-version-delete"),
    path("datasets/versions/<uuid:version_id>/export/", exports.version_export, name="dataset-export"),
    path("datasets/versions/<uuid:version_id>/curriculum/", curricula.curriculum, name="dataset-curriculum"),
    path("datasets/versions/<uuid:version_id>/questions/", questions.question_list, name="question-list"),
    path("datasets/versions/<uuid:version_id>/questions/<int:position>/", questions.question_page, name="question"),
    path("exports/new/", exports.export_new, name="export-new"),
    path("exports/<uuid:export_id>/", exports.export_page, name="export"),
    path("exports/<uuid:export_id>/file/", exports.export_file, name="export-file"),
]
