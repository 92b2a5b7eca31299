"""The ways of training: what each is called, what it does, and its learning rates."""

from typing import Final, Literal, get_args

Scenario = Literal["frozen", "last-stages", "finetuned", "probe-then-finetune", "scratch", "looks-frozen"]
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)
SCENARIO_LABELS: Final[dict[str, str]] = {
    "frozen": "Frozen",
    "last-stages": "Last stages",
    "finetuned": "Fine-tuned",
    "probe-then-finetune": "Probe, then fine-tune",
    "scratch": "From scratch",
    "looks-frozen": "Looks frozen",
}
SCENARIO_HELP: Final[dict[str, str]] = {
    "frozen": "Only the head trains. The backbone is not changed by a single bit.",
    "last-stages": "The last k stages of the backbone and the head train; earlier stages stay frozen.",
    "finetuned": "Everything trains, the backbone at about a tenth of the head's rate.",
    "probe-then-finetune": "The head first, on the frozen backbone; then everything (Kumar et al. 2022).",
    "scratch": "Everything trains from a random start: no pretrained knowledge at all.",
    "looks-frozen": "As many tutorials freeze: gradients off, yet BatchNorm statistics move. To set beside Frozen.",
}

# (head rate, backbone rate) for each optimiser and scenario; the backbone gets a tenth of the head's rate wherever
# both train (cs231n's rule of thumb). The values were chosen on the ants-and-bees photos, see benchmarks/.
DEFAULT_RATES: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "adamw": {
        "frozen": (1e-2, 0.0),
        "last-stages": (3e-3, 3e-4),
        "finetuned": (3e-3, 3e-4),
        "probe-then-finetune": (3e-3, 3e-4),
        "scratch": (1e-3, 1e-3),
        "looks-frozen": (1e-2, 0.0),
    },
    "sgd": {
        "frozen": (1e-1, 0.0),
        "last-stages": (3e-2, 3e-3),
        "finetuned": (3e-2, 3e-3),
        "probe-then-finetune": (3e-2, 3e-3),
        "scratch": (5e-2, 5e-2),
        "looks-frozen": (1e-1, 0.0),
    },
}
