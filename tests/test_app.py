"""The entry and the frame: every page is listed, and every answer carries its headers."""

import asyncio
import re

from helpers import REPOSITORY

from app import CONTENT_SECURITY_POLICY, SecurityHeaders


def test_the_navigation_lists_exactly_the_files_in_pages():
    listed = re.findall(r'st\.Page\("(\w+)\.py"', (REPOSITORY / "pages" / "main.py").read_text())
    files = {path.stem for path in (REPOSITORY / "pages").glob("*.py")} - {"main"}

    assert sorted(listed) == sorted(files)


def test_every_answer_carries_the_content_security_policy():
    async def answers(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"kept")]})

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(SecurityHeaders(answers)({"type": "http"}, None, send))

    headers = dict(sent[0]["headers"])
    assert headers[b"x-own"] == b"kept"
    assert headers[b"content-security-policy"] == CONTENT_SECURITY_POLICY.encode()
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert "unsafe-eval" not in CONTENT_SECURITY_POLICY
