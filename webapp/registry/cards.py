"""The card of a model, made of facts alone: what is not known is said so. As sections for a page, and as Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from webapp.accounts.models import Team
from webapp.evaluations.models import Evaluation
from webapp.registry.ancestry import Ancestry, ancestry_of
from webapp.registry.models import LabelSet, ModelKind, ModelVersion
from webapp.registry.selectors import model_evaluations, model_folder
from webapp.registry.showing import archive_name, facts_of

UNKNOWN = "not known"
SETTINGS = (
    *("learning_rate", "epochs", "max_steps", "batch_size", "max_length", "schedule", "warm_up_steps", "beta"),
    *("sft_weight", "loss", "layout", "precision", "seed"),
)
"""Settings of a training that a reader asks for first; all of them are in `meds3.json`."""
_LICENCE = re.compile(r"^licen[cs]e:\s*([A-Za-z0-9 .+_-]{1,80})\s*$", re.MULTILINE)
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
_READ = 16_384


@dataclass(frozen=True, slots=True)
class Part:
    """A section: pairs of name and value, sentences, and lines of code."""

    title: str
    rows: Sequence[tuple[str, str]] = ()
    sentences: Sequence[str] = ()
    code: str = ""


def model_card(*, model: ModelVersion, ancestry: Ancestry, evaluations: Sequence[Evaluation]) -> list[Part]:
    """Everything that is known, in sections."""
    return [
        Part("What it is", _identity(model)),
        _training(model, ancestry),
        _measured(model, evaluations),
        _limits(model, evaluations),
        Part("Licence", sentences=[licence_of(model)]),
        Part("How to load it", sentences=[_files(model)], code=loading_code(model)),
    ]


def card_text(*, team: Team, model: ModelVersion) -> str:
    """The card as Markdown, with what the team knows of the model."""
    evaluations = model_evaluations(team=team, model=model)
    parts = model_card(model=model, ancestry=ancestry_of(team=team, model=model), evaluations=evaluations)
    return card_markdown(model, parts)


def card_markdown(model: ModelVersion, parts: Sequence[Part]) -> str:
    """The same as a file to keep beside the weights."""
    lines = [f"# {_escaped(str(model))}", ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        if part.rows:
            lines += ["| | |", "|---|---|"]
            lines += [f"| {_escaped(name)} | {_escaped(value)} |" for name, value in part.rows]
            lines.append("")
        for sentence in part.sentences:
            lines += [_escaped(sentence), ""]
        if part.code:
            lines += ["```python", part.code, "```", ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text.replace("\n", " "))


# --- what it is ----------------------------------------------------------------------------------------------------


def _identity(model: ModelVersion) -> list[tuple[str, str]]:
    aliases = ", ".join(sorted(each.alias for each in model.aliases.all()))
    base = [("Base", base_line(model))] if model.is_adapter else []
    return [
        *facts_of(model),
        *base,
        ("Aliases", aliases or "none"),
        ("Made", f"{model.created:%Y-%m-%d %H:%M} UTC"),
        ("Digest of its files", model.content_hash or UNKNOWN),
    ]


def base_line(model: ModelVersion) -> str:
    """Of an adapter: the base that it belongs to, and whether its digest was compared."""
    if model.base is None:
        return UNKNOWN
    stated, known = model.facts.get("adapter_of"), model.base.facts.get("hash")
    if stated and stated == known:
        return f"{model.base} (digest {stated} compared)"
    return f"{model.base} (digest not compared)"


# --- training ------------------------------------------------------------------------------------------------------


def _training(model: ModelVersion, ancestry: Ancestry) -> Part:
    card = model.provenance.get("card") or {}
    rows: list[tuple[str, str]] = []
    if isinstance(card.get("method"), str):
        rows.append(("Method", card["method"]))
    start = card.get("start")
    if isinstance(start, dict):
        rows.append(("Began from", f"{model.base or start.get('name')} (digest {start.get('hash')})"))
    result = card.get("result")
    if isinstance(result, dict):
        words = {"examples": "Examples", "left_out": "Left out as too long", "steps": "Optimiser steps"}
        rows += [(word, f"{result[name]:,}") for name, word in words.items() if isinstance(result.get(name), int)]
        if isinstance(result.get("tokens"), int):
            rows.append(("Tokens", f"{result['tokens']:,}"))
        if isinstance(result.get("final_loss"), int | float):
            rows.append(("Loss at the end", f"{result['final_loss']:.4f}"))
    rows += _label_rows(model, ancestry)
    datasets = [each.label for each in ancestry.sources if each.kind == "dataset"]
    if datasets:
        rows.append(("Questions that it goes back to", ", ".join(dict.fromkeys(datasets))))
    config = card.get("config")
    if isinstance(config, dict):
        chosen = [(name, config[name]) for name in SETTINGS if config.get(name) is not None]
        rows.append(("Settings", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in chosen)))
    if isinstance(card.get("data"), str):
        rows.append(("Digest of the training data", card["data"]))
    versions = card.get("versions")
    if isinstance(versions, dict):
        rows.append(("Made with", ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))))
    if rows:
        return Part("Training", rows)
    return Part("Training", sentences=["How it was trained is not known here: its files do not say."])


def _label_rows(model: ModelVersion, ancestry: Ancestry) -> list[tuple[str, str]]:
    """Counts of the label sets that it was trained on."""
    direct = {one for one, other in ancestry.edges if other == ancestry.focus.key}
    wanted = [each.id for each in ancestry.sources if each.kind == "labels" and each.key in direct]
    rows = []
    for each in LabelSet.objects.filter(pk__in=wanted):
        dropped = each.counts.get("dropped") or {}
        words = f"{each.records:,} records of {each.counts.get('questions', 0):,} questions"
        if dropped:
            words += "; dropped: " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(dropped.items()))
        rows.append((f"Label set {each}", words))
    return rows


# --- measured ------------------------------------------------------------------------------------------------------


def _measured(model: ModelVersion, evaluations: Sequence[Evaluation]) -> Part:
    rows = []
    for each in evaluations:
        where = f"{each.benchmark or 'a benchmark that was deleted'}, {each.questions:,} questions"
        if model.kind != ModelKind.POLICY:
            where += f", answers of {each.policy or 'a policy that was deleted'}"
        results = list(each.results.all())
        greedy = next((one for one in results if one.strategy == "greedy"), None)
        chosen = each.figures.get("chosen") or {}
        if model.kind == ModelKind.POLICY and greedy is not None:
            rows.append((f"{where}, greedy", share_text(greedy.accuracy, greedy.low, greedy.high)))
        if chosen:
            test, key = chosen["test"], chosen["chosen"]
            named = f"{key.get('strategy')} @{key.get('n')} ({chosen.get('how') or 'not known how it was chosen'})"
            rows.append((f"{where}, {named}", share_text(test["value"], test["low"], test["high"])))
        if model.kind != ModelKind.POLICY:
            rows += [(f"{where}, {name}", text) for name, text in step_errors(each)]
    if not rows:
        return Part("Measured", sentences=["Nothing is known of how well it works: it was not measured here."])
    levels = "Intervals cover 95% unless an evaluation says otherwise."
    return Part("Measured", rows, [levels, "Figures on different benchmarks cannot be compared with one another."])


def step_errors(evaluation: Evaluation) -> list[tuple[str, str]]:
    """How well the reward model of an evaluation finds wrong steps, by scope: areas with their intervals."""
    scopes = {"all": "wrong steps found (AUROC)", "right-answers": "wrong steps found in right answers (AUROC)"}
    found = []
    for areas in (evaluation.figures.get("step_errors") or {}).values():
        for scope, area in areas.items():
            if area:
                text = f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]"
                found.append((scopes.get(scope, f"wrong steps found, {scope} (AUROC)"), text))
    for judged in evaluation.figures.get("judged_steps") or ():
        for name, words in (("auroc", "AUROC"), ("f1", "F1")):
            if area := judged.get(name):
                text = f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]"
                remarks = "; see the evaluation's remarks" if judged.get("warnings") else ""
                found.append((f"wrong steps found that people judged, {judged['name']} ({words})", text + remarks))
    return found


def share_text(value: float, low: float, high: float) -> str:
    """A share with its interval."""
    return f"{100 * value:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"


def _limits(model: ModelVersion, evaluations: Sequence[Evaluation]) -> Part:
    sentences = []
    longest = model.facts.get("max_positions")
    if isinstance(longest, int):
        sentences.append(f"Question and answer together have {longest:,} tokens at most.")
    measured = {str(each.benchmark) for each in evaluations if each.benchmark}
    if measured:
        sentences.append(
            f"It was measured on {', '.join(sorted(measured))} alone; nothing is known of other questions."
        )
    else:
        sentences.append("It was measured on nothing here.")
    for each in evaluations[:1]:
        silent = each.figures.get("no_answer")
        if model.kind == ModelKind.POLICY and isinstance(silent, dict):
            share = share_text(silent["value"], silent["low"], silent["high"])
            sentences.append(f"No answer to {share} of the questions of {each.benchmark or each}, greedily.")
    sentences.append("Made for research. Nothing here shows that it is safe to rely on for patients.")
    return Part("Limits", sentences=sentences)


# --- licence and loading -------------------------------------------------------------------------------------------


def licence_of(model: ModelVersion) -> str:
    """What its own files say, else what its base's say; never a guess."""
    own = _stated(model)
    if own:
        return own
    seen, base = {model.pk}, model.base
    while base is not None and base.pk not in seen:
        seen.add(base.pk)
        stated = _stated(base)
        if stated:
            return f"Its own is not known. Of {base}, which it began from: {stated}"
        base = base.base
    return "Not known: neither its files nor those of what it began from say."


def _stated(model: ModelVersion) -> str:
    names = {each["name"] for each in model.files}
    if "README.md" in names:
        try:
            with (model_folder(model_id=model.pk) / "README.md").open(encoding="utf-8", errors="replace") as file:
                front = _FRONT.match(file.read(_READ))
        except OSError:
            front = None
        found = _LICENCE.search(front.group(1)) if front else None
        if found:
            return f"{found.group(1).strip()}, by its README.md."
    texts = sorted(name for name in names if name.upper().startswith("LICEN"))
    return f"See its file {texts[0]}." if texts else ""


def _files(model: ModelVersion) -> str:
    return f"Download the archive and unpack it; the folder is called {archive_name(model)}."


def loading_code(model: ModelVersion) -> str:
    """Lines that load the model from its unpacked folder."""
    folder = archive_name(model)
    if model.kind != ModelKind.POLICY:
        adapter = f', base="{archive_name(model.base)}"' if model.is_adapter and model.base else ""
        head = model.facts.get("score_head")
        given = f', score_head="{head}"' if head and not model.provenance.get("card") else ""
        return (
            "from meds3core.config.decoding import ScorerConfig\n"
            "from meds3core.prm.loading import load_scorer\n\n"
            f'scorer = load_scorer("{folder}", ScorerConfig(){given}{adapter})'
        )
    if model.is_adapter:
        base = archive_name(model.base) if model.base else "folder-of-the-base"
        return (
            "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f'base = AutoModelForCausalLM.from_pretrained("{base}")\n'
            f'model = PeftModel.from_pretrained(base, "{folder}")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{base}")'
        )
    return (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{folder}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{folder}")'
    )
