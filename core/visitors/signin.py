"""Coming back from another device: a workspace that is found by an account elsewhere (OpenID Connect), if one wants.

A Space whose header says `hf_oauth: true` gives these variables; on another server whoever runs it does. Nothing of an
account is stored but a hash that says which workspace is its own.
"""

import hashlib
import hmac
import importlib.util
import json
import os
from pathlib import Path
from typing import Final

from core.home import server_folder, write_atomically
from core.storage import is_hosted
from core.visitors.registry import COOKIE

VARIABLES: Final = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OPENID_PROVIDER_URL", "SPACE_HOST")
CALLBACK: Final = "oauth2callback"
"""Where an account's provider sends a browser back to; Streamlit's own route."""

SIGN_IN: Final = "sign-in"
"""In the address of a page that goes to the provider at once."""
SIGNING_IN: Final = f"{COOKIE}-signing-in"
"""The cookie with the key of what an account is to find from then on: the way back from the provider has no address."""


def can_sign_in() -> bool:
    """Whether this server is shared, knows a provider, and has what it takes (the extra `signin`)."""
    return is_hosted() and all(map(os.environ.get, VARIABLES)) and importlib.util.find_spec("authlib") is not None


def sign_in_file() -> Path:
    """What Streamlit reads about the provider, as TOML; for this user's eyes only.

    Raises:
        StorageError: it cannot be written.
    """
    client, secret, provider, host = (os.environ[name] for name in VARIABLES)
    host = host.partition(",")[0].strip()
    scheme = "http" if host.partition(":")[0] in {"localhost", "127.0.0.1"} else "https"
    values = {
        "redirect_uri": f"{scheme}://{host}/{CALLBACK}",
        # the same after a restart: who is signed in stays so
        "cookie_secret": hmac.new(secret.encode(), b"thaw: who is signed in", hashlib.sha256).hexdigest(),
        "client_id": client,
        "client_secret": secret,
        "server_metadata_url": f"{provider.rstrip('/')}/.well-known/openid-configuration",
    }
    lines = ["[auth]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    lines += ["[auth.client_kwargs]", 'scope = "openid profile"']
    path = server_folder("sign-in") / "secrets.toml"
    write_atomically(path, "\n".join(lines).encode())
    return path
