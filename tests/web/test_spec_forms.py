"""A form made from a specification gives that specification back, with the schema's bounds and complaints."""

import uuid

import pytest

from meds3core.config.evolution import EVOLUTION_PRESETS
from meds3core.config.jobs import EvolutionSpec, LabelsSpec, SearchSpec, SftSpec
from meds3core.config.search import PRESETS, SearchConfig
from meds3core.config.training import SftConfig
from webapp.common.spec_forms import SpecForm, option

DATASET, MODEL, PRM = (str(uuid.uuid4()) for _ in range(3))
OPTIONS = {
    "questions": [option("dataset", DATASET, "Clinic v1")],
    "policy": [option("model", MODEL, "clinic v1")],
    "scorer": [option("model", PRM, "A reward model")],
}
START = {"search": PRESETS["quick"].model_dump(mode="json")}


def form(data=None, start=START, **others):
    return SpecForm(SearchSpec, data, start=start, options=OPTIONS, **others)


def shown(built):
    """What a browser would send back unchanged."""
    sent = {}
    for name, each in built.fields.items():
        value = built.get_initial_for_field(each, name)
        if value is None or value is False:
            continue
        sent[name] = "on" if value is True else value
    return sent


def filled(built, **changes):
    return shown(built) | {"questions": f"dataset:{DATASET}", "policy": f"model:{MODEL}"} | changes


def test_a_form_sent_back_unchanged_is_the_preset():
    sent = form(filled(form()))
    assert sent.is_valid(), sent.errors
    assert sent.spec.search == PRESETS["quick"]
    assert (str(sent.spec.questions.id), sent.spec.questions.kind) == (DATASET, "dataset")
    assert sent.spec == SearchSpec.model_validate_json(sent.as_json())


@pytest.mark.parametrize("spec, name", [(SftSpec, "training"), (LabelsSpec, "steps")])
def test_parts_that_may_be_left_out_are_left_out_unless_ticked(spec, name):
    built = SpecForm(spec, start={}, options={})
    assert any(each.startswith(f"{name}.") for each in built.fields)
    if spec is SftSpec:
        assert "training.lora.given" in built.fields
        sent = SpecForm(spec, shown(built), start=_sft(), left_out=("policy", "labels"))
        assert sent.is_valid(), sent.errors
        assert sent.spec.training == SftConfig()
        off = {key: value for key, value in shown(built).items() if key != "training.lora.given"}
        sent = SpecForm(spec, off, start=_sft(), left_out=("policy", "labels"))
        assert sent.is_valid(), sent.errors
        assert sent.spec.training.lora is None


@pytest.mark.parametrize("preset", EVOLUTION_PRESETS)
def test_a_loop_sent_back_unchanged_trains_with_the_methods_of_its_preset_alone(preset):
    named = {"kind": "dataset", "id": DATASET}
    start = {"settings": EVOLUTION_PRESETS[preset].model_dump(mode="json")}
    start |= {"questions": named, "held_out": named | {"id": PRM}, "policy": {"kind": "model", "id": MODEL}}
    others = {"start": start, "left_out": ("questions", "held_out", "validation", "policy", "restart")}
    sent = SpecForm(EvolutionSpec, shown(SpecForm(EvolutionSpec, **others)), **others)
    assert sent.is_valid(), sent.errors
    assert sent.spec.settings.grpo is None
    assert sent.spec.settings == EVOLUTION_PRESETS[preset]


def _sft():
    named = {"kind": "model", "id": MODEL}
    return {"kind": "sft", "policy": named, "labels": {"kind": "labels", "id": PRM}}


def test_every_number_has_the_schemas_bounds_and_its_words():
    built = form()
    nodes = built.fields["search.max_nodes"]
    assert (nodes.min_value, nodes.max_value) == (1, 100_000)
    assert nodes.help_text == "All nodes but the root; per tree (1 to 100,000)."
    assert "METHOD.md" not in " ".join(str(each.help_text) for each in built.fields.values())
    assert "kind" not in built.fields


def test_complaints_stand_at_their_field_or_above_the_form():
    sent = form(filled(form(), **{"search.max_nodes": "0", "search.step_draw.temperature": "9"}))
    assert not sent.is_valid()
    assert set(sent.errors) == {"search.max_nodes", "search.step_draw.temperature"}
    sent = form(filled(form(), **{"search.step_tokens": "512"}))
    assert not sent.is_valid()
    assert "step_tokens (512) must not exceed rollout_tokens (128)" in str(sent.non_field_errors())


def test_a_thing_that_is_not_offered_is_refused():
    sent = form(filled(form(), policy=f"model:{uuid.uuid4()}"))
    assert not sent.is_valid()
    assert "policy" in sent.errors


def test_the_chosen_engine_alone_counts():
    changes = {"engine.kind": "vllm", "engine.vllm.max_batch": "32", "engine.transformers.max_batch": "4"}
    sent = form(filled(form(), **changes))
    assert sent.is_valid(), sent.errors
    assert (sent.spec.engine.kind, sent.spec.engine.max_batch) == ("vllm", 32)


def test_a_registered_engine_may_stand_in_the_place_of_the_others():
    remote = str(uuid.uuid4())
    options = OPTIONS | {"engine": [option("endpoint", remote, "Ward server")]}
    sent = SpecForm(SearchSpec, filled(form(), **{"engine.kind": f"endpoint:{remote}"}), start=START, options=options)
    assert sent.is_valid(), sent.errors
    assert (sent.spec.engine.kind, str(sent.spec.engine.id)) == ("endpoint", remote)
    again = SpecForm(SearchSpec, start=sent.spec.model_dump(mode="json"), options=options)
    assert again["engine.kind"].value() == f"endpoint:{remote}"


def test_values_of_fields_that_are_not_shown_are_kept():
    start = START | {"seed": 7, "search": SearchConfig(exploration=3.0).model_dump(mode="json")}
    built = form(start=start, left_out=("seed", "search.exploration"))
    assert "seed" not in built.fields
    sent = form(filled(built), start=start, left_out=("seed", "search.exploration"))
    assert sent.is_valid(), sent.errors
    assert (sent.spec.seed, sent.spec.search.exploration) == (7, 3.0)


def test_sections_follow_the_records_with_what_matters_first():
    sections = form(basic=("questions", "policy", "search.max_nodes")).sections
    assert [each.title for each in sections] == ["", "Engine", "Search", "Scoring"]
    assert [field.name for field in sections[2].basic] == ["search.max_nodes"]
    assert sections[2].text == "Tree search."
