"""The vLLM scorer against real vLLM (its CPU build will do): the scores of the transformers scorer."""

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed (`make venv-vllm` adds its CPU build)")

from meds3core.config.decoding import ScorerConfig
from meds3core.errors import AppError, ConfigError, ContextOverflow
from meds3core.prm.base import ScoreItem
from meds3core.prm.loading import load_scorer
from meds3core.text.steps import OPENER
from tests.core.prm.test_scorer import make_items
from tests.core.prm.tiny import CONTEXT, make_question, write_prm
from tests.core.trees.factory import tree as make_tree

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(240)]


def test_scores_equal_those_of_transformers(tmp_path):
    folder = write_prm(tmp_path / "prm", head_dim=64)
    plain = load_scorer(folder, ScorerConfig(device="cpu"))
    scorer = load_scorer(folder, ScorerConfig(kind="vllm", batch_tokens=2048))
    try:
        assert scorer.info == plain.info
        items = make_items(20)
        for one, other in zip(scorer.score(items), plain.score(items), strict=True):
            assert one.values == pytest.approx(other.values, abs=1e-3)
        tree = make_tree(2, size=20)
        assert scorer.score_tree(tree) == pytest.approx(plain.score_tree(tree), abs=1e-3)
        with pytest.raises(ContextOverflow):
            scorer.score([ScoreItem(make_question(1), (OPENER, "x " * CONTEXT))])
        assert scorer.score([]) == []
    finally:
        scorer.close()
    with pytest.raises(AppError, match="closed"):
        scorer.score(items)


def test_an_adapter_is_refused(tmp_path):
    folder = write_prm(tmp_path / "prm")
    (tmp_path / "adapter").mkdir()
    for name in ("meds3.json", "tokenizer.json"):
        (tmp_path / "adapter" / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="adapter"):
        load_scorer(tmp_path / "adapter", ScorerConfig(kind="vllm"), base=folder)
