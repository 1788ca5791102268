"""Loads a model from elsewhere once and asks it for a score, so that what is listed works: `python -m` of this module.

Meant for a process of its own, under limits of memory and time, without network, GPU or secrets: it reads one request
(JSON, `TrialRequest`) from its input and writes one answer (`TrialAnswer`) to its output. Weights only from
safetensors, model classes only of the installed libraries, chat templates only through their sandboxed renderer.
"""

import math
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meds3core.errors import Meds3Error
from meds3core.models.describe import ModelFacts, ModelRole, describe_model
from meds3core.models.screen import ModelRefused, screen_content
from meds3core.prm.card import ScoreHead
from meds3core.types.question import NumberFormat, OpenQuestion
from meds3core.types.record import Record

QUESTION = OpenQuestion(
    id="trial",
    text="A child of 12 kg is to have 15 mg per kg. How many mg is that?",
    answer_format=NumberFormat(unit="mg"),
)
BODIES = (
    "Let's think it through.",
    "The dose is 15 mg/kg times 12 kg.",
    "15 times 12 is 180.",
    "The answer is 180 mg.",
)
_NEW_TOKENS = 8


class TrialRequest(Record):
    """A folder of this machine to be tried."""

    folder: str
    role: ModelRole
    base: str | None = None
    score_head: ScoreHead | None = None


class TrialResult(Record):
    """What was found."""

    facts: ModelFacts
    checks: tuple[str, ...]
    """What was tried, in words."""


class TrialAnswer(Record):
    """Either a result or why there is none."""

    result: TrialResult | None = None
    code: str = ""
    message: str = ""


def try_model(request: TrialRequest) -> TrialResult:
    """Screen, describe, load and ask. Raises a `UserError` that says which file or rule stands against it."""
    folder = Path(request.folder)
    base = Path(request.base) if request.base is not None else None
    screen_content(folder)
    facts = describe_model(folder, request.role, base=base, score_head=request.score_head)
    policy = request.role == "policy"
    checks = _try_policy(folder, base, facts) if policy else _try_reward_model(folder, base, request)
    return TrialResult(facts=facts, checks=checks)


def _try_policy(folder: Path, base: Path | None, facts: ModelFacts) -> tuple[str, ...]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from meds3core.encoding.trajectory import TrajectoryEncoder

    whole = base if facts.adapter_of is not None and base is not None else folder
    own = folder if any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")) else whole
    try:
        tokenizer = AutoTokenizer.from_pretrained(own, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelRefused(f"tokenizer: transformers cannot load it ({type(error).__name__}).") from None
    try:
        ids = list(TrajectoryEncoder(tokenizer).steps(QUESTION, BODIES).ids)
    except Exception as error:
        raise ModelRefused(
            f"chat template: the sandboxed renderer refuses it, or it fails ({type(error).__name__})."
        ) from None
    loaded: Any = AutoModelForCausalLM
    try:
        model, told = loaded.from_pretrained(
            whole,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, facts.dtype, torch.float32),
            output_loading_info=True,
        )
        if whole is not folder:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, folder, use_safetensors=True).merge_and_unload()
    except Exception as error:
        _refuse_hunger(error)
        raise ModelRefused(f"{_kind_of(whole, folder)}: transformers cannot load it ({_said(error)}).") from None
    if told["missing_keys"]:
        raise ModelRefused(f"model.safetensors: the weights lack {min(told['missing_keys'])}. Copy the whole model.")
    rows = int(model.get_input_embeddings().weight.shape[0])
    if max(ids) >= rows:
        raise ModelRefused(f"tokenizer: writes token {max(ids)}, but the model knows {rows}. It is another model's.")
    if len(ids) + _NEW_TOKENS > facts.max_positions:
        ids = ids[: max(2, facts.max_positions - _NEW_TOKENS)]
    model.eval()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].float()  # [tokens - 1, vocabulary]
        chosen = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        if not bool(torch.isfinite(logits).all()):
            raise ModelRefused(
                "model.safetensors: the model's outputs are not finite: weights that are NaN or infinite."
            )
        written = model.generate(torch.tensor([ids]), max_new_tokens=_NEW_TOKENS, do_sample=False)
    count = int(written.shape[1]) - len(ids)
    mean = float(chosen.mean())
    return (
        f"log-probabilities of {len(ids) - 1} tokens are finite (mean {mean:.2f})",
        f"wrote {count} token{'' if count == 1 else 's'}",
    )


def _try_reward_model(folder: Path, base: Path | None, request: TrialRequest) -> tuple[str, ...]:
    from meds3core.config.decoding import ScorerConfig
    from meds3core.prm.base import ScoreItem
    from meds3core.prm.scorer import TransformersScorer

    try:
        scorer = TransformersScorer.load(folder, ScorerConfig(device="cpu"), score_head=request.score_head, base=base)
        (scores,) = scorer.score([ScoreItem(QUESTION, BODIES)])
    except Exception as error:
        _refuse_hunger(error)
        if isinstance(error, Meds3Error):
            raise
        raise ModelRefused(f"model.safetensors: the model cannot be loaded or asked ({_said(error)}).") from None
    finite = all(math.isfinite(value) and 0.0 <= value <= 1.0 for value in scores.values)
    if not finite:
        raise ModelRefused("model.safetensors: the scores are not finite: weights that are NaN or infinite.")
    wanted = len(BODIES) if request.role == "prm" else 1
    if len(scores.values) != wanted:
        raise ModelRefused(f"the model gives {len(scores.values)} scores for a trajectory, not {wanted}.")
    shown = ", ".join(f"{value:.2f}" for value in scores.values)
    return (f"scores a trajectory of {len(BODIES)} steps ({shown})",)


def _refuse_hunger(error: Exception) -> None:
    """torch says in words that memory ran out."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        raise MemoryError from None


def _kind_of(whole: Path, folder: Path) -> str:
    return "model.safetensors" if whole is folder else "adapter_model.safetensors"


def _said(error: Exception) -> str:
    """The library's own words, without a place of this machine."""
    words = " ".join(word for word in str(error).split() if "/" not in word)
    return f"{type(error).__name__}: {words[:200]}"


def _without_places(message: str, request: TrialRequest) -> str:
    """A message of the library as a person may read it who does not know where files lie."""
    for place in (request.folder, request.base):
        if place is not None:
            message = message.replace(f"{place}/", "").replace(f"{place}: ", "").replace(place, "the model")
    return message


def main() -> int:
    """One request in, one answer out."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        request = TrialRequest.model_validate_json(sys.stdin.read())
        answer = TrialAnswer(result=try_model(request))
    except ValidationError:
        answer = TrialAnswer(code="trial", message="the request is not understood")
    except MemoryError:
        answer = TrialAnswer(
            code="model-refused",
            message="config.json: the model takes more memory than its weights account for. Do they belong together?",
        )
    except Meds3Error as error:
        answer = TrialAnswer(code=error.code, message=_without_places(str(error), request))
    out.write(answer.model_dump_json() + "\n")
    out.flush()
    return 0


if __name__ == "__main__":
    code = main()
    os._exit(code)  # threads of libraries must not keep it alive
