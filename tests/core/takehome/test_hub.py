"""What goes to the Hugging Face Hub, told by a small server that answers as the Hub does."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub.constants
import pytest
from helpers import FinishedRace

from core.__main__ import main
from core.errors import PackageError
from core.takehome import hub as module
from core.takehome.hub import publish_run

# between the Hub's library and the one it sends with
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
TOKEN = "hf_nobodysToken"
BINARY = (".safetensors", ".onnx", ".png")


class Hub(BaseHTTPRequestHandler):
    """Enough of the Hub: make a repository, ask what is large, take large files, take a commit."""

    tokens: ClassVar[set[str]] = set()
    made: ClassVar[list[dict[str, Any]]] = []
    large: ClassVar[dict[str, bytes]] = {}
    files: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.tokens.add(token)
        if token != TOKEN:
            self._answer(401, {"error": "Invalid credentials"})
        elif self.path == "/api/repos/create":
            self.made.append(json.loads(body))
            self._answer(200, {"url": f"{self._here()}/me/ants"})
        elif self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif self.path.startswith("/api/models/me/ants/preupload/"):
            rows = [
                {
                    "path": row["path"],
                    "uploadMode": "lfs" if row["path"].endswith(BINARY) else "regular",
                    "shouldIgnore": False,
                }
                for row in json.loads(body)["files"]
            ]
            self._answer(200, {"files": rows})
        elif self.path == "/me/ants.git/info/lfs/objects/batch":
            rows = [
                {**row, "actions": {"upload": {"href": f"{self._here()}/large/{row['oid']}"}}}
                for row in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": rows})
        elif self.path.startswith("/api/models/me/ants/commit/"):
            self._commit(body)
        else:
            self._answer(404, {"error": self.path})

    def _commit(self, body: bytes) -> None:
        for line in body.splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                self.files[value["path"]] = self.large[value["oid"]]
        self._answer(
            200, {"success": True, "commitUrl": f"{self._here()}/me/ants/commit/{'0' * 40}", "commitOid": "0" * 40}
        )

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.large[hashlib.sha256(data).hexdigest()] = data
        self._answer(200, {})

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        known = re.match(r"/api/models/me/ants(/|$)", self.path)
        self._answer(404 if not known else 200 if allowed else 401, {"id": "me/ants", "sha": "0" * 40, "siblings": []})

    do_HEAD = do_GET

    def _here(self) -> str:
        return f"http://{self.headers['Host']}"

    def _answer(self, status: int, values: dict[str, Any]) -> None:
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # its newer protocol is not ours to play
    for kept in (Hub.tokens, Hub.made, Hub.large, Hub.files):
        kept.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def exported(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing takes seconds and is tested elsewhere: the zip that is there is taken."""
    monkeypatch.setattr(module, "export_run", lambda run, path, say: Path(path).write_bytes(packed.read_bytes()))


def is_private(made: dict[str, Any]) -> bool:
    """As the library asked for it: its versions have two ways to."""
    return bool(made.get("private", made.get("visibility") == "private"))


@pytest.mark.usefixtures("exported")
def test_every_file_of_the_zip_arrives_with_the_card_in_front(finished_race: FinishedRace, endpoint: str):
    address = publish_run(finished_race.run("finetuned"), "me/ants", TOKEN, endpoint=endpoint)

    assert address == f"{endpoint}/me/ants" and Hub.tokens == {TOKEN}
    assert [(row["name"], row.get("organization"), is_private(row)) for row in Hub.made] == [("ants", "me", True)]
    listed = [line.split("  ") for line in Hub.files["SHA256SUMS"].decode().splitlines()]
    assert {name for _, name in listed} == set(Hub.files) - {"SHA256SUMS"}
    assert all(hashlib.sha256(Hub.files[name]).hexdigest() == digest for digest, name in listed)
    assert Hub.files["README.md"].startswith(b"---\npipeline_tag: image-classification\n")


@pytest.mark.usefixtures("exported")
def test_the_command_takes_its_token_from_the_environment(
    finished_race: FinishedRace, endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    send = module._send
    monkeypatch.setattr(module, "_send", lambda *args: send(*args[:-1], endpoint))
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    assert main(["publish", finished_race.run("finetuned"), "me/ants", "--public", "--json"]) == 0

    printed = capsys.readouterr()
    assert json.loads(printed.out)["address"] == f"{endpoint}/me/ants" and TOKEN not in printed.out + printed.err
    assert not is_private(Hub.made[0])


@pytest.mark.usefixtures("exported")
def test_what_the_hub_refuses_is_said_in_words_and_the_token_never(finished_race: FinishedRace, endpoint: str):
    with pytest.raises(PackageError, match="the token is not valid") as caught:
        publish_run(finished_race.run("finetuned"), "me/ants", "hf_wrong", endpoint=endpoint)

    assert "hf_wrong" not in str(caught.value) and Hub.files == {}


@pytest.mark.usefixtures("exported")
def test_a_hub_that_is_not_there_is_an_error_in_words(finished_race: FinishedRace):
    with pytest.raises(PackageError, match="could not be reached"):
        publish_run(finished_race.run("finetuned"), "me/ants", TOKEN, endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["ants", "me/", "/ants", "me/ants/more", "me/../x", "me/a b", ""])
def test_a_name_that_is_none_is_refused_before_anything_is_packed(name: str):
    with pytest.raises(PackageError, match="owner/name"):
        publish_run("0123456789", name, TOKEN)


def test_without_a_token_or_offline_nothing_is_sent(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(PackageError, match="token"):
        publish_run("0123456789", "me/ants", " ")
    monkeypatch.setenv("THAW_OFFLINE", "1")
    with pytest.raises(PackageError, match="THAW_OFFLINE"):
        publish_run("0123456789", "me/ants", TOKEN)
