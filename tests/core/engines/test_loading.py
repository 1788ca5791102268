"""The right engine for a configuration, or a word about what is missing."""

import sys

import pytest

from meds3core.config.engine import TransformersEngineConfig, VllmEngineConfig
from meds3core.engines.loading import load_engine
from meds3core.errors import MissingExtra, PolicyError


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("meds3core.engines.vllm")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "vllm", None)  # as on a machine without it
    with pytest.raises(MissingExtra, match=r"extra `vllm`"):
        load_engine(tmp_path, VllmEngineConfig())


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(PolicyError, match=r"config.json"):
        load_engine(tmp_path, TransformersEngineConfig())
