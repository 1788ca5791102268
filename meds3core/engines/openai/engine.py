"""`OpenAIEngine`: the engine protocol on any OpenAI-compatible server (vLLM, SGLang, hosted ones).

With `api = "completions"` prompts are rendered and tokenised here and sent as token ids, so that a server sees exactly
what a local engine would compute. With `api = "chat"` the server renders: the turns are sent as messages and the
model's own turn, as far as it is written, as a last one to be continued (an extension of vLLM and SGLang).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

from meds3core.config.engine import OpenAIEngineConfig
from meds3core.engines.base import Completion, Delta, EngineInfo, FinishReason, Prompt, Request, Sampling
from meds3core.engines.openai.transport import Transport, list_models
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.engines.rendering import PromptEncoder
from meds3core.engines.seeds import vllm_seed
from meds3core.errors import ConfigError, EngineError

_EXTENDED = ("vllm", "sglang")
"""Servers that take parameters beyond OpenAI's, by what they say of themselves in the list of models."""

_PLAIN_SAMPLING = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Switches off what such a server would otherwise take from the model's generation_config.json."""

_BROKEN_OFF = ("abort", "content_filter", "error", None)


class OpenAIEngine:
    """See `meds3core.engines.base.Engine`. To be used within one event loop.

    Where a server does not tell a stop string from the end of the turn, a request with stop strings ends by `stop`.
    """

    def __init__(self, policy: PolicyFolder | str, config: OpenAIEngineConfig, first_pause: float = 0.5) -> None:
        offered = list_models(config)
        chosen = _choose(policy, offered, config)
        self._config = config
        self._first_pause = first_pause
        self._encoder = _encoder(policy)
        self._extended = chosen.get("owned_by") in _EXTENDED
        limits = [config.context_length, chosen.get("max_model_len")]
        if isinstance(policy, PolicyFolder):
            limits.append(policy.context_length)
        context_length = min(limit for limit in limits if isinstance(limit, int))
        self._info = EngineInfo("openai", chosen["id"], "", context_length)
        self._transport: Transport | None = None
        self._closed = False

    @classmethod
    def load(cls, policy: Path | str, config: OpenAIEngineConfig) -> Self:
        """Ask the server what it serves; `policy` is the model's folder, for its tokenizer, or its name there.

        Raises `ConfigError` and `EngineError`, which name what to do.
        """
        return cls(inspect_policy(policy) if Path(policy).is_dir() else str(policy), config)

    @property
    def info(self) -> EngineInfo:
        """What this engine is; the server does not tell a digest of its model."""
        return self._info

    async def generate(self, request: Request) -> Completion:
        """One sampled completion."""
        path, body, prompt_tokens = self._body(request)
        answer = await self._open().post(path, body)
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            return self._completion(text or "", choice, answer.get("usage"), prompt_tokens, request.sampling)
        except (KeyError, IndexError, TypeError):
            raise EngineError(f"{self._config.base_url} sent an answer without a completion.") from None

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The same completion as the server streams it."""
        path, body, prompt_tokens = self._body(request)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        text, last, usage, pieces = "", None, None, 0
        async for event in self._open().stream(path, body):
            usage = event.get("usage") or usage
            for choice in event.get("choices") or ():
                piece = (choice.get("delta") or {}).get("content") or choice.get("text")
                if choice.get("finish_reason"):
                    last = choice
                if piece:
                    text += piece
                    pieces += 1  # servers send a token at a time; they count at the end only
                    yield Delta(piece, generated_tokens=pieces, prompt_tokens=prompt_tokens)
        if last is None:
            raise EngineError(f"{self._config.base_url} ended a stream without saying why.")
        yield Delta("", self._completion(text, last, usage, prompt_tokens, request.sampling))

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of each continuation after the prompt, summed over all its tokens.

        The server echoes the prompt with the log-probabilities of its tokens.
        """
        if self._encoder is None:
            raise ConfigError("Likelihoods need the policy's tokenizer: name the model's folder, not only its name.")
        ids = self._encoder.encode(prompt)
        pieces = [self._encoder.encode_piece(continuation) for continuation in continuations]
        self._info.room(len(ids) + max(map(len, pieces), default=0))
        return list(await asyncio.gather(*(self._echoed(ids, piece) for piece in pieces)))

    async def close(self) -> None:
        """Close the connections; pending requests fail with `EngineError`."""
        self._closed = True
        if self._transport is not None:
            await self._transport.close()

    async def _echoed(self, ids: list[int], piece: tuple[int, ...]) -> float:
        body = {"model": self._info.model, "prompt": [*ids, *piece], "max_tokens": 1, "temperature": 0.0}
        answer = await self._open().post("completions", body | {"echo": True, "logprobs": 1})
        try:
            logprobs = answer["choices"][0]["logprobs"]["token_logprobs"][len(ids) : len(ids) + len(piece)]
            if len(logprobs) == len(piece):
                return float(sum(logprobs))
        except (KeyError, IndexError, TypeError):
            pass
        raise EngineError(f"{self._config.base_url} does not echo a prompt's log-probabilities.")

    def _open(self) -> Transport:
        if self._closed:
            raise EngineError("The engine is closed.")
        if self._transport is None:
            self._transport = Transport(self._config, self._first_pause)
        return self._transport

    def _body(self, request: Request) -> tuple[str, dict[str, Any], int]:
        """Path, body, and the prompt's length as far as it is known here (else 0)."""
        prompt, sampling = request.prompt, request.sampling
        ids = self._encoder.encode(prompt) if self._encoder is not None else []
        body: dict[str, Any] = {
            "model": self._info.model,
            "max_tokens": min(sampling.max_tokens, self._info.room(len(ids))),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": vllm_seed(sampling.seed),
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self._extended:
            body |= _PLAIN_SAMPLING
        if self._config.api == "chat":
            turns = [{"role": message.role, "content": message.content} for message in prompt.messages]
            if prompt.pieces:
                turns.append({"role": "assistant", "content": "".join(prompt.pieces)})
                body |= {"continue_final_message": True, "add_generation_prompt": False}
            return "chat/completions", body | {"messages": turns}, len(ids)
        text = "\n\n".join(message.content for message in prompt.messages) + "\n\n" + "".join(prompt.pieces)
        return "completions", body | {"prompt": ids or text}, len(ids)

    def _completion(
        self, text: str, choice: dict[str, Any], usage: dict[str, Any] | None, prompt_tokens: int, sampling: Sampling
    ) -> Completion:
        usage = usage or {}
        details = usage.get("prompt_tokens_details") or {}
        generated = _count(usage.get("completion_tokens"))
        if generated is None:
            generated = len(self._encoder.encode_piece(text)) if self._encoder is not None else 0
        return Completion(
            text,
            _finish(choice, sampling),
            generated_tokens=generated,
            prompt_tokens=_count(usage.get("prompt_tokens")) or prompt_tokens,
            cached_tokens=_count(details.get("cached_tokens")) or 0,
        )


def _count(said: Any) -> int | None:
    """A server's word for a number of tokens, where it can be one."""
    return said if type(said) is int and 0 <= said < 1 << 31 else None


def _finish(choice: dict[str, Any], sampling: Sampling) -> FinishReason:
    reason = choice["finish_reason"]
    if reason == "length":
        return "length"
    if reason in _BROKEN_OFF:
        raise EngineError(f"The server broke the answer off ({reason}).")
    for name in ("stop_reason", "matched_stop"):  # vLLM's and SGLang's word for what matched
        if name in choice:
            return "stop" if isinstance(choice[name], str) else "end"
    return "stop" if sampling.stop else "end"


def _choose(policy: PolicyFolder | str, offered: list[dict[str, Any]], config: OpenAIEngineConfig) -> dict[str, Any]:
    """The server's entry for this policy: by name or path, else the only one there is for a folder."""
    names = [policy] if isinstance(policy, str) else [str(policy.path), policy.name, policy.path.name]
    if config.model:
        names = [config.model]
    for name in names:
        for model in offered:
            if name in (model["id"], model.get("root")):
                return model
    if not offered:
        return {"id": names[-1]}
    if isinstance(policy, PolicyFolder) and len(offered) == 1 and not config.model:
        return offered[0]
    served = ", ".join(model["id"] for model in offered[:10])
    raise ConfigError(f"{config.base_url} does not serve {names[-1]}; it serves {served}.")


def _encoder(policy: PolicyFolder | str) -> PromptEncoder | None:
    if isinstance(policy, str):
        return None
    from transformers import AutoTokenizer

    return PromptEncoder(AutoTokenizer.from_pretrained(policy.path, trust_remote_code=False))
