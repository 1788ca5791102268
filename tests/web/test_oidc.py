"""Sign-in through an OpenID Connect provider: a small real one on loopback, and the real flow through it."""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import environ
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from tests.web.people import person
from webapp.accounts.actors import Actor
from webapp.accounts.links import invitation_create
from webapp.accounts.models import AuditEntry, User
from webapp.accounts.rules import Role
from webapp.config.identity import provider_origins, social_providers

CLIENT_ID, CLIENT_SECRET = "studio", "between-the-two-of-us"


class Provider(ThreadingHTTPServer):
    """An identity provider with one person signed in, which checks what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.person = {"sub": "42", "preferred_username": "vera", "name": "Vera Ward", "email": "vera@ward.example"}
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()
        self.audience = CLIENT_ID

    def discovery(self) -> dict:
        """Where everything is."""
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            **{name: f"{self.url}/{path}" for name, path in paths.items()},
        }

    def jwks(self) -> dict:
        """The public key."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**key, "kid": "one", "alg": "RS256", "use": "sig"}]}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the person is sent back to, with a code."""
        assert query["client_id"] == CLIENT_ID and query["response_type"] == "code" and "openid" in query["scope"]
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str]) -> dict:
        """Tokens for a code, once."""
        asked = self.codes.pop(form["code"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        assert (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        assert form["redirect_uri"] == asked["redirect_uri"]
        access, now = secrets.token_urlsafe(16), int(time.time())
        self.tokens.add(access)
        claims = {**self.person, "iss": self.url, "aud": self.audience, "iat": now, "exp": now + 60}
        signed = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "one"})
        return {"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": signed}


class Handler(BaseHTTPRequestHandler):
    """The provider's four pages."""

    server: Provider

    def do_GET(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.server.authorize({name: value[0] for name, value in query.items()}))
            self.end_headers()
        elif path == "/userinfo":
            assert self.headers["Authorization"].removeprefix("Bearer ") in self.server.tokens
            self.answer(self.server.person)
        else:
            pages = {"/.well-known/openid-configuration": self.server.discovery, "/jwks": self.server.jwks}
            self.answer(pages[path]())

    def do_POST(self):
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(self.server.token({name: value[0] for name, value in body.items()}))

    def answer(self, body: dict) -> None:
        """As JSON."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def provider(db, settings, monkeypatch):
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    monkeypatch.setenv("MEDS3_OIDC_URL", server.url)
    monkeypatch.setenv("MEDS3_OIDC_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("MEDS3_OIDC_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("MEDS3_OIDC_NAME", "Hospital account")
    settings.SOCIALACCOUNT_PROVIDERS = social_providers(environ.Env())
    assert provider_origins(environ.Env()) == [server.url]
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sign_in(client: Client) -> httpx.Response:
    """The whole way: our button, the provider, and back."""
    out = client.post("/accounts/oidc/sso/login/")
    back = httpx.get(out.url, follow_redirects=False).headers["location"]
    assert urlsplit(back).path == "/accounts/oidc/sso/login/callback/"
    return client.get(back.removeprefix("http://testserver"))


def signed_in_as(client: Client) -> str | None:
    user_id = client.session.get("_auth_user_id")
    return User.objects.get(pk=user_id).username if user_id else None


def test_a_person_comes_in_and_is_the_same_person_next_time(provider):
    assert "Hospital account" in Client().get("/accounts/login/").content.decode()
    for _ in range(2):
        client = Client()
        assert sign_in(client).status_code == 302
        assert signed_in_as(client) == "vera"
    vera = User.objects.get()
    assert (vera.name, vera.email, vera.memberships.count()) == ("Vera Ward", "vera@ward.example", 0)
    line = AuditEntry.objects.get(verb="user.created")
    assert (line.actor, line.details) == (vera, {"provider": "sso"})


def test_a_person_who_answers_an_invitation_comes_back_to_it(provider, world):
    _, secret = invitation_create(actor=Actor(world.by_role[Role.OWNER]), team=world.team, role=Role.ANNOTATOR)
    client = Client()
    client.post("/invitation/", {"secret": secret})
    assert sign_in(client).url == "/invitation/answer/"
    client.post("/invitation/join/")
    assert world.team.memberships.get(user__username="vera").role == Role.ANNOTATOR


def test_a_provider_does_not_take_over_an_account_with_the_same_address(provider):
    person("already", email="vera@ward.example")
    client = Client()
    sign_in(client)
    assert signed_in_as(client) is None
    assert User.objects.count() == 1


def test_tokens_for_another_client_and_answers_nobody_asked_for_are_refused(provider):
    provider.audience = "another-application"
    client = Client()
    sign_in(client)
    assert signed_in_as(client) is None
    provider.audience = CLIENT_ID

    out = Client().post("/accounts/oidc/sso/login/")
    back = httpx.get(out.url, follow_redirects=False).headers["location"]
    other = Client()  # another browser is handed the answer
    other.get(back.removeprefix("http://testserver"))
    assert signed_in_as(other) is None
