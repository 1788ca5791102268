"""URLs of models inside a team."""

from django.urls import path

from webapp.registry import views

team = [
    path("models/", views.model_list, name="model-list"),
    path("models/import/", views.model_import_page, name="model-import"),
    path("models/<uuid:model_id>/", views.model_page, name="model"),
    path("models/<uuid:model_id>/archive/", views.model_archive, name="model-archive"),
    path("models/<uuid:model_id>/files/<path:file_name>", views.model_file, name="model-file"),
    path("models/<uuid:model_id>/card/", views.model_card_file, name="model-card"),
    path("models/<uuid:model_id>/alias/", views.model_alias, name="model-alias"),
    path("models/<uuid:model_id>/rename/", views.model_rename, name="model-rename"),
    path("models/<uuid:model_id>/delete/", views.model_delete, name="model-delete"),
]
