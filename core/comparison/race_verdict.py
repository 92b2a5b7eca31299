"""The verdict over a race: every experiment, every pair of them, and one sentence for the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.comparison import race_wording
from core.comparison.arms import NO_NAMES, Arm, ArmSummary, arms_of, summary_of_arm
from core.comparison.fairness import Outcome
from core.comparison.pictures import common, right_table
from core.comparison.race import PairVerdict, judge_pairs
from core.comparison.statistics import cochran_q
from core.comparison.verdict import BAND, check_band, plain


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceVerdict:
    """A race: every experiment, every pair, and one sentence for the whole."""

    arms: tuple[ArmSummary, ...]
    pairs: tuple[PairVerdict, ...]
    band: float
    sentence: str
    cochran_p: float | None = None
    """Cochran's Q over more than two models on the same pictures; None with several seeds."""
    lacks: tuple[str, ...] = ()
    """Which classes some part lacks: sentences that belong to any verdict."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nothing rounded."""
        return plain(self)


def race_verdict(outcomes: Sequence[Outcome], band: float = BAND, names: Mapping[str, str] = NO_NAMES) -> RaceVerdict:
    """Compare experiments over seeds.

    Better: p, after Holm's correction over all pairs, below 0.05, and at least six pictures tell the two apart.
    Practically the same: the whole 95 % interval inside the band. Everything else: the race cannot tell.

    Args:
        outcomes: finished runs, at most one for each experiment and seed; seeds may be missing in some experiments.
        band: differences in accuracy within this fraction are practically no difference.
        names: that a person gave to experiments, by key.

    Raises:
        SettingsError: the band is not a fraction from 0 to 0.5.
        RunError: an experiment has two runs with the same seed, or a run has no test pictures.
    """
    check_band(band)
    arms = arms_of(outcomes, names)
    summaries = tuple(summary_of_arm(arm, label) for label, arm in arms.items())
    pairs = [
        replace(pair, sentence=race_wording.pair_sentence(pair), speed=race_wording.speed_sentence(pair))
        for pair in judge_pairs(arms, band)
    ]
    cochran_p = _cochran(arms, pairs)
    lacks = tuple(dict.fromkeys(sentence for outcome in outcomes for sentence in outcome.lacks))
    sentence = " ".join([race_wording.race_sentence(summaries, pairs, cochran_p), *lacks])
    return RaceVerdict(
        arms=summaries, pairs=tuple(pairs), band=band, sentence=sentence, cochran_p=cochran_p, lacks=lacks
    )


def _cochran(arms: Mapping[str, Arm], pairs: Sequence[PairVerdict]) -> float | None:
    """One test for all models together, where there are more than two with one seed and every pair can be compared."""
    if len(arms) < 3 or any(len(pair.seeds) != 1 or pair.outcome == "not-comparable" for pair in pairs):
        return None
    runs = [next(iter(arm.values())).tested for arm in arms.values()]
    return cochran_q(right_table(runs, common(runs)))
