"""Measuring a machine that has never trained."""

import pytest
import torch

from core.machine import load_rates
from core.training.probe import measure_rates


@pytest.mark.slow
def test_rates_are_measured_before_any_run(monkeypatch: pytest.MonkeyPatch):
    threads = torch.get_num_threads()

    measure_rates("efficientnet_lite0")

    rates = load_rates("efficientnet_lite0")
    assert rates is not None and rates.features > rates.train > 0
    torch.set_num_threads(threads)
