"""Where runs are tracked: an MLflow server that `THAW_MLFLOW` names."""

import hashlib
import os
import re

from core.errors import SettingsError, shown
from core.models.download import is_offline
from core.storage import is_hosted

_DATABRICKS = "databricks"
"""The one name that MLflow takes for an address."""
_PASSWORD = re.compile(r"(?<=//)[^/@]*@")


def tracking_address() -> str:
    """The server's address; empty where nobody asks for one, and where strangers share this server."""
    return "" if is_hosted() else os.environ.get("THAW_MLFLOW", "").strip()


def checked_address() -> str:
    """The server's address.

    Raises:
        SettingsError: there is none, it is none, or going online is forbidden.
    """
    address = tracking_address()
    if not address:
        raise SettingsError("THAW_MLFLOW names no MLflow server. Set it to its address, as http://127.0.0.1:5000.")
    if "://" not in address and address != _DATABRICKS:  # MLflow would take it for a folder, and fail at length
        raise SettingsError(
            f"THAW_MLFLOW is {shown_address(address)}, which is no address: write it as http://127.0.0.1:5000."
        )
    if is_offline():
        raise SettingsError("THAW_OFFLINE forbids to go online, so nothing is sent to an MLflow server.")
    return address


def name_of(address: str) -> str:
    """What a server is called in the database, which is to hold no password."""
    return hashlib.sha256(_PASSWORD.sub("", address).rstrip("/").encode()).hexdigest()[:16]


def shown_address(address: str) -> str:
    """The address for a message, without a password."""
    return shown(_PASSWORD.sub("", address)).strip("'")
