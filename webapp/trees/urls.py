"""URLs of searches, trees and label sets inside a team."""

from django.urls import path, register_converter

from webapp.trees.views import comparing, drawings, estimates, forms, labels, searches, trees


class PartConverter:
    """A part of a search's page that is asked for by itself."""

    regex = "standing|trees"

    def to_python(self, value: str) -> str:
        """As it stands."""
        return value

    def to_url(self, value: str) -> str:
        """As it stands."""
        return value


register_converter(PartConverter, "search_part")

team = [
    path("searches/", searches.search_list, name="search-list"),
    path("searches/new/", forms.search_create, name="search-create"),
    path("searches/estimate/", estimates.search_estimate, name="search-estimate"),
    path("searches/estimate/<uuid:estimate_id>/", estimates.search_estimate_part, name="search-estimate-part"),
    path("searches/<uuid:search_id>/", searches.search, name="search"),
    path("searches/<uuid:search_id>/<search_part:part>/", searches.search_part, name="search-part"),
    path("searches/<uuid:search_id>/score/", searches.search_score, name="search-score"),
    path("searches/<uuid:search_id>/delete/", searches.search_remove, name="search-delete"),
    path("trees/<uuid:tree_id>/", trees.tree, name="tree"),
    path("trees/<uuid:tree_id>/json/", trees.tree_json, name="tree-json"),
    path("trees/<uuid:tree_id>/drawing/", drawings.tree_drawing, name="tree-drawing"),
    path("searches/<uuid:search_id>/growing/<int:position>/", drawings.growing_tree, name="growing-tree"),
    path("searches/<uuid:search_id>/growing/<int:position>/drawing/", drawings.growing_drawing, name="growing-drawing"),
    path("trees/<uuid:tree_id>/nodes/<int:node>/", trees.tree_node, name="tree-node"),
    path("trees/<uuid:tree_id>/steps/", trees.tree_rows, name="tree-rows"),
    path("trees/<uuid:tree_id>/find/", trees.tree_find, name="tree-find"),
    path("trees/<uuid:tree_id>/scores/", trees.tree_scores, name="tree-scores"),
    path("trees/<uuid:tree_id>/score/", trees.tree_score, name="tree-score"),
    path("trees/<uuid:tree_id>/compare/<uuid:other_id>/", comparing.trees_compare, name="tree-compare"),
    path("searches/<uuid:search_id>/compare/", comparing.searches_compare, name="search-compare"),
    path("labels/", labels.label_list, name="label-list"),
    path("labels/new/", forms.labels_create, name="label-create"),
    path("labels/<uuid:label_set_id>/", labels.label_set, name="label-set"),
    path("labels/<uuid:label_set_id>/delete/", labels.label_remove, name="label-delete"),
]
