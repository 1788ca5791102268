"""URLs of evaluations inside a team."""

from django.urls import path

from webapp.evaluations.views import asked, comparing, creating, lists, single, tables

ONE = "evaluations/<uuid:evaluation_id>"

team = [
    path("evaluations/", lists.evaluation_list, name="evaluation-list"),
    path("evaluations/table/<slug:form>/", lists.evaluation_list_table, name="evaluation-list-table"),
    path("evaluations/new/", creating.evaluation_create, name="evaluation-create"),
    path("evaluations/compare/", comparing.evaluation_compare, name="evaluation-compare"),
    path(
        "evaluations/compare/<slug:table>/<slug:form>/",
        comparing.evaluation_compare_table,
        name="evaluation-compare-table",
    ),
    path(f"{ONE}/", single.evaluation_page, name="evaluation"),
    path(f"{ONE}/questions/", asked.evaluation_questions, name="evaluation-questions"),
    path(f"{ONE}/questions/<int:position>/", asked.evaluation_question, name="evaluation-question"),
    path(f"{ONE}/tables/<slug:table>/<slug:form>/", tables.evaluation_table, name="evaluation-table"),
    path(f"{ONE}/files/<slug:which>/", single.evaluation_file, name="evaluation-file"),
    path(f"{ONE}/delete/", single.evaluation_delete, name="evaluation-delete"),
]
