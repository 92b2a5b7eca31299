"""Who signs in with an account comes to the same workspace from every browser, and to nobody else's.

Run with `python -m pytest tests/browser`. The provider of accounts is one of our own, on this computer.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from benchmarks.shown import settle

pytest.importorskip("authlib", reason="Authlib is not installed: the extra signin")
from joserfc import jwt
from joserfc.jwk import RSAKey

from .conftest import Prepare, Server

pytestmark = [pytest.mark.browser, pytest.mark.takes(40)]
PATIENCE_MS = 180_000
CLIENT, SECRET = "thaw-here", "a secret of the test"


class Provider(ThreadingHTTPServer):
    """OpenID Connect: says yes to whoever asks, as `account`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url, self.account = f"http://127.0.0.1:{self.server_port}", "ada"
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.asked: dict[str, dict[str, str]] = {}

    def metadata(self) -> dict[str, Any]:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {
            "issuer": self.url,
            **{name: f"{self.url}/{path}" for name, path in paths.items()},
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def code_for(self, asked: dict[str, str]) -> str:
        assert asked["client_id"] == CLIENT and set(asked["scope"].split()) == {"openid", "profile"}
        code = f"code{len(self.asked)}"
        self.asked[code] = asked | {"account": self.account}
        return code

    def token(self, given: dict[str, str]) -> dict[str, Any]:
        asked = self.asked.pop(given["code"])
        proof = hashlib.sha256(given["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(proof).rstrip(b"=").decode() == asked["code_challenge"]
        now = int(time.time())
        claims = {"iss": self.url, "sub": f"id-of-{asked['account']}", "aud": CLIENT, "iat": now, "exp": now + 600}
        claims |= {"preferred_username": asked["account"], "nonce": asked["nonce"]}
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return {"access_token": "opens nothing", "token_type": "Bearer", "expires_in": 600, "id_token": signed}


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, _flat(urlsplit(self.path).query)
        if path == "/authorize":
            self.send_response(302)
            back = urlencode({"code": self.server.code_for(asked), "state": asked["state"]})
            self.send_header("Location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()
        elif path == "/keys":
            self.say({"keys": [self.server.key.as_dict(private=False)]})
        else:
            assert path == "/.well-known/openid-configuration", path
            self.say(self.server.metadata())

    def do_POST(self) -> None:
        self.say(self.server.token(_flat(self.rfile.read(int(self.headers["Content-Length"])).decode())))

    def say(self, value: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: object) -> None:
        pass


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepare: Prepare) -> Iterator[tuple[Server, Provider]]:
    server = Server(prepare(tmp_path / "home"))
    with Provider() as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        for name, value in {
            "THAW_HOSTED": "1",
            "OAUTH_CLIENT_ID": CLIENT,
            "OAUTH_CLIENT_SECRET": SECRET,
            "OPENID_PROVIDER_URL": provider.url,
            "SPACE_HOST": f"localhost:{server.port}",
        }.items():
            monkeypatch.setenv(name, value)
        server.start()
        yield server, provider
        server.stop()
        provider.shutdown()


def signed_in(context: Any, url: str, provider: Provider, account: str) -> Any:
    """The workspace page after a click on the button there."""
    provider.account = account
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{url}/workspace")
    settle(page)
    with context.expect_page() as opened:
        page.get_by_role("link", name="Sign in to find it from any device").click()
    page.close()
    back = opened.value
    back.set_default_timeout(PATIENCE_MS)
    back.wait_for_url(re.compile(rf"{re.escape(url)}/(\?.*)?$"))
    back.goto(f"{url}/workspace")
    settle(back)
    back.get_by_text(f"Signed in as {account}").wait_for()
    return back


def test_an_account_leads_to_one_workspace_from_every_browser(chromium: Any, shared: tuple[Server, Provider]):
    server, provider = shared
    laptop, telephone, other = (chromium.new_context() for _ in range(3))
    mine = signed_in(laptop, server.url, provider, "ada")
    mine.get_by_label("Name of the class").fill("Biology 7b")
    mine.get_by_role("button", name="Begin a class").click()
    mine.get_by_role("heading", name="Biology 7b").wait_for()

    again = signed_in(telephone, server.url, provider, "ada")
    again.get_by_role("heading", name="Biology 7b").wait_for()
    theirs = signed_in(other, server.url, provider, "bob")
    assert theirs.get_by_text("Biology 7b").count() == 0

    again.get_by_role("button", name="Sign out").click()
    again.wait_for_url(re.compile(rf"{re.escape(server.url)}/(\?.*)?$"))
    again.goto(f"{server.url}/workspace")
    again.get_by_role("link", name="Sign in to find it from any device").wait_for()
    mine.get_by_role("button", name="Delete everything").click()
    mine.get_by_role("button", name="Delete", exact=True).click()
    mine.get_by_text("Biology 7b").first.wait_for(state="detached")
    anew = signed_in(telephone, server.url, provider, "ada")
    assert anew.get_by_text("Biology 7b").count() == 0, "what was deleted is found by no account"
    kept = b"".join(path.read_bytes() for path in server.home.rglob("workspaces.db*"))
    assert b"id-of-ada" not in kept and b"bob" not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in server.home.rglob("secrets.toml"))
    for context in (laptop, telephone, other):
        context.close()
