"""Thaw without its pages. Whoever imports anything of it, app, worker, command line or script, is not reported on."""

import os

# Before a library that reads it is loaded; by force, since an empty value in somebody's shell would mean yes.
NOTHING_REPORTED = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime: a device's id and events in the user's cache, sent to its maker
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub: what is used and by which libraries, with every request
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",  # and its question after a newer version
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",  # Streamlit, where its own file of settings is not found
    "DO_NOT_TRACK": "1",  # what others have agreed on
}
os.environ.update(NOTHING_REPORTED)
