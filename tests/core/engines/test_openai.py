"""The OpenAI engine against a small real HTTP server that misbehaves on request."""

import asyncio
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from meds3core.config.engine import OpenAIEngineConfig
from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.loading import load_engine
from meds3core.engines.openai.engine import OpenAIEngine
from meds3core.engines.policy import inspect_policy
from meds3core.errors import ConfigError, ContextOverflow, EngineError
from tests.core.engines.tiny_llama import CONTEXT, save_policy

MODEL = {"id": "some-model", "max_model_len": 300}


class Server(ThreadingHTTPServer):
    """Answers each POST by the next of `plan`, then by a good answer; keeps what it was sent."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.models, self.plan, self.bodies, self.keys = [MODEL], [], [], []
        self.busy, self.most_busy, self.pause = 0, 0, 0.0
        self.lock = threading.Lock()
        self.arrived, self.released = threading.Event(), threading.Event()

    def handle_error(self, *_):
        """Clients that go away are part of these tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, content, **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.server.keys.append(self.headers.get("authorization"))
        if isinstance(self.server.models, int):
            self.send(self.server.models, {"error": {"message": "secret text", "type": "no"}})
        else:
            self.send(200, {"data": self.server.models})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            server.bodies.append((self.path, body))
            server.arrived.set()
            act = server.plan.pop(0) if server.plan else good
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            if server.pause:
                threading.Event().wait(server.pause)
            act(self, body)
        finally:
            with server.lock:
                server.busy -= 1


def good(handler, body):
    text = f"seed {body['seed']}" if "seed" in body else ""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
    if body.get("stream"):
        return sse(handler, [choice(text[:3]), choice(text[3:]), choice("", "stop"), {"choices": [], "usage": usage}])
    if "messages" in body:
        one = {"message": {"content": text}, "finish_reason": "length"}
    else:
        one = choice(text, "stop")["choices"][0]
    handler.send(200, {"choices": [one], "usage": usage})


def choice(text, finish=None):
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}


def sse(handler, events, done=True):
    lines = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"] * done
    data = "".join(lines).encode()
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("content-length", str(len(data) + (0 if done else 100)))
    handler.end_headers()
    handler.wfile.write(data)
    handler.close_connection = True


def status(code, fault=None, **headers):
    return lambda handler, _: handler.send(code, {"error": fault or {"message": "secret text"}}, **headers)


def cut(handler, _):
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.close_connection = True


def hang(handler, _):
    """Waits until the client has gone."""
    handler.rfile.read(1)
    handler.server.released.set()
    handler.close_connection = True


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


def connect(server, policy="some-model", **settings):
    config = OpenAIEngineConfig(base_url=server.url, **settings)
    return OpenAIEngine(policy if isinstance(policy, str) else inspect_policy(policy), config, first_pause=0.01)


def request(seed=0, pieces=("Step 0: a.\n\n", "Step 1:"), **sampling):
    prompt = Prompt((Message("user", "How many mg?"),), tuple(pieces))
    return Request(prompt, Sampling(**{"max_tokens": 20, "seed": seed, **sampling}))


async def test_completions_send_token_ids_and_every_setting(server, policy):
    engine = connect(server, policy)
    completion = await engine.generate(request(3, temperature=0.6, top_p=0.9, stop=("\n\nStep",)))
    path, body = server.bodies[0]
    assert path == "/v1/completions"
    assert body.pop("prompt") == engine._encoder.encode(request().prompt)
    assert body == {
        "model": "some-model",
        "max_tokens": 20,
        "temperature": 0.6,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["\n\nStep"],
    }
    assert (completion.text, completion.finish) == ("seed 3", "stop")
    assert (completion.generated_tokens, completion.prompt_tokens, completion.cached_tokens) == (3, 7, 5)
    await engine.close()


async def test_a_server_known_to_extend_is_kept_from_its_own_sampling_defaults(server):
    server.models = [MODEL | {"owned_by": "vllm"}]
    engine = connect(server)
    await engine.generate(request())
    assert server.bodies[0][1]["repetition_penalty"] == 1.0 and server.bodies[0][1]["top_k"] == -1
    await engine.close()


async def test_without_a_folder_the_prompt_is_text(server):
    engine = connect(server)
    completion = await engine.generate(request())
    assert server.bodies[0][1]["prompt"] == "How many mg?\n\nStep 0: a.\n\nStep 1:"
    assert completion.finish == "end"
    with pytest.raises(ConfigError, match="tokenizer"):
        await engine.loglikelihood(request().prompt, ["Reason"])
    await engine.close()


async def test_chat_continues_the_turn_begun(server):
    engine = connect(server, api="chat")
    completion = await engine.generate(request())
    await engine.generate(request(pieces=()))
    (path, begun), (_, fresh) = server.bodies
    assert path == "/v1/chat/completions" and completion.finish == "length"
    assert begun["messages"][-1] == {"role": "assistant", "content": "Step 0: a.\n\nStep 1:"}
    assert begun["continue_final_message"] is True and begun["add_generation_prompt"] is False
    assert fresh["messages"] == [{"role": "user", "content": "How many mg?"}]
    assert "continue_final_message" not in fresh
    await engine.close()


async def test_stream_adds_up(server):
    engine = connect(server)
    deltas = [delta async for delta in engine.stream(request(12, stop=("x",)))]
    assert [delta.text for delta in deltas] == ["see", "d 12"] or "".join(d.text for d in deltas) == "seed 12"
    last = deltas[-1].completion
    assert (last.text, last.finish, last.generated_tokens) == ("seed 12", "stop", 3)
    assert server.bodies[0][1]["stream_options"] == {"include_usage": True}
    await engine.close()


async def test_closing_ends_a_stream(server):
    server.plan = [hang]
    engine = connect(server)

    async def read():
        return [delta async for delta in engine.stream(request())]

    task = asyncio.create_task(read())
    assert await asyncio.to_thread(server.arrived.wait, 5)
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await asyncio.wait_for(task, 5)


@pytest.mark.parametrize("fault", [status(429), status(500), status(503, retry_after="0"), cut])
async def test_passing_faults_are_waited_out(server, fault):
    server.plan = [fault, fault]
    engine = connect(server)
    assert (await engine.generate(request(4))).text == "seed 4"
    assert len(server.bodies) == 3
    assert server.bodies[0] == server.bodies[2]
    await engine.close()


async def test_retry_after_is_honoured(server):
    server.plan = [status(429, retry_after="0.3")]
    engine = connect(server)
    start = asyncio.get_running_loop().time()
    await engine.generate(request())
    assert asyncio.get_running_loop().time() - start >= 0.3
    await engine.close()


async def test_patience_ends_and_neighbours_are_unharmed(server):
    server.plan = [status(500)] * 3
    engine = connect(server, retries=2, max_in_flight=1)
    first, second = await asyncio.gather(
        engine.generate(request(1)), engine.generate(request(2)), return_exceptions=True
    )
    assert isinstance(first, EngineError) and "500" in str(first) and "secret" not in str(first)
    assert second.text == "seed 2"
    await engine.close()


async def test_a_stream_cut_before_its_first_event_is_tried_again_and_later_is_not(server):
    engine = connect(server, retries=2)
    server.plan = [lambda handler, _: sse(handler, [], done=False)]
    assert [delta async for delta in engine.stream(request(5))][-1].completion.text == "seed 5"
    server.plan = [lambda handler, _: sse(handler, [choice("beg")], done=False)]
    seen = []
    with pytest.raises(EngineError, match="broke off"):
        async for delta in engine.stream(request(5)):
            seen.append(delta.text)
    assert seen == ["beg"] and len(server.bodies) == 3
    await engine.close()


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (status(401), ConfigError, "MEDS3_OPENAI_KEY"),
        (status(404), ConfigError, "404"),
        (status(400, {"message": "maximum context length is 300"}), ContextOverflow, "context"),
        (
            status(400, {"message": "secret text", "type": "BadRequest", "param": "seed"}),
            EngineError,
            "BadRequest, seed",
        ),
        (lambda handler, _: handler.send(200, b"<html>"), EngineError, "JSON"),
        (lambda handler, _: handler.send(200, {}), EngineError, "without a completion"),
        (lambda handler, _: handler.send(200, choice("x", "content_filter")), EngineError, "content_filter"),
    ],
)
async def test_lasting_faults_are_named_at_once(server, fault, error, words):
    server.plan = [fault]
    engine = connect(server)
    with pytest.raises(error, match=words) as caught:
        await engine.generate(request())
    assert "secret" not in str(caught.value) and len(server.bodies) == 1
    await engine.close()


async def test_never_more_in_flight_than_allowed(server):
    server.pause = 0.02
    engine = connect(server, max_in_flight=3)
    completions = await asyncio.gather(*(engine.generate(request(seed)) for seed in range(12)))
    assert [completion.text for completion in completions] == [f"seed {seed}" for seed in range(12)]
    assert server.most_busy == 3
    await engine.close()


async def test_cancelling_closes_the_request(server):
    server.plan = [hang]
    engine = connect(server, max_in_flight=1)
    task = asyncio.create_task(engine.generate(request()))
    assert await asyncio.to_thread(server.arrived.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.released.wait, 5)
    assert (await engine.generate(request(1))).text == "seed 1"
    await engine.close()


async def test_closing_fails_what_is_pending(server):
    server.plan = [hang]
    engine = connect(server)
    task = asyncio.create_task(engine.generate(request()))
    assert await asyncio.to_thread(server.arrived.wait, 5)
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await task
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(request())


async def test_context_is_the_smallest_that_anyone_names(server, policy):
    assert connect(server).info.context_length == 300
    assert connect(server, context_length=100).info.context_length == 100
    server.models = [MODEL | {"max_model_len": None}]
    engine = connect(server, policy)
    assert engine.info.context_length == CONTEXT
    long = Request(Prompt((Message("user", " mg" * CONTEXT),)), Sampling(max_tokens=1))
    with pytest.raises(ContextOverflow):
        await engine.generate(long)
    nearly = Request(Prompt((Message("user", ""),), (" mg",) * (CONTEXT - 40)), Sampling(max_tokens=100))
    await engine.generate(nearly)
    assert server.bodies[-1][1]["max_tokens"] < 40


async def test_a_silent_server_is_an_error(server):
    server.pause = 1.0
    engine = connect(server, timeout_seconds=0.1, retries=0)
    with pytest.raises(EngineError, match="timeout_seconds"):
        await engine.generate(request())
    await engine.close()


def test_loading_names_what_is_wrong(server, policy, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame")
    assert connect(server, key_variable="MY_KEY").info.model == "some-model"
    assert server.keys == ["Bearer sesame"]
    with pytest.raises(ConfigError, match="some-model"):
        connect(server, "other-model")
    server.models = [MODEL, MODEL | {"id": "second"}]
    with pytest.raises(ConfigError, match="second"):
        connect(server, policy)
    server.models = 401
    with pytest.raises(ConfigError, match="MEDS3_OPENAI_KEY"):
        connect(server)
    server.models = 404
    assert connect(server, "unlisted").info.model == "unlisted"
    server.models = {"not": "a list"}
    with pytest.raises(ConfigError, match="/v1"):
        connect(server)
    for url, words in [("http://127.0.0.1:9/v1", "running"), ("nonsense-address", "http://")]:
        with pytest.raises(EngineError, match=words):
            load_engine("some-model", OpenAIEngineConfig(base_url=url))
    assert Counter(server.keys)[None] >= 5
