"""What the lines of a lesson give, and that they run by themselves."""

import subprocess
import sys

import pytest
import torch

from core.lessons.live import LIVE, code_of, look
from core.lessons.table import questions


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [
        ("wrong_head", "thousand", "1,000 outputs"),
        ("changed_by_one_batch", "statistics", "60 tensors"),
        ("only_in_state_dict", "buffers", "running_mean"),
        ("share_that_trains", "less", "1,026 of 11,177,538"),
        ("same_picture_twice", "differ", "differ by up to"),
    ],
)
def test_the_lines_show_what_is_taught(name, option, said):
    before = torch.random.get_rng_state()
    seen = look(name)

    assert seen.option == option and said in seen.said
    assert torch.equal(torch.random.get_rng_state(), before)
    assert look(name) == seen, "the same each time"
    assert option in {
        one.name for question in questions().values() if question.live == name for one in question.options
    }


def test_all_lines_are_tried():
    assert len(LIVE) == 5 == sum(bool(question.live) for question in questions().values())


@pytest.mark.slow
@pytest.mark.parametrize("name", LIVE)
def test_what_is_shown_runs_by_itself(name):
    done = subprocess.run([sys.executable, "-c", code_of(name)], capture_output=True, text=True, check=True)

    assert done.stdout.strip()
