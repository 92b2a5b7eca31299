"""How many examples Hypothesis makes up in the default run; the same ones every time."""

from hypothesis import HealthCheck, settings

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    # the home of a test and its seed are of no matter here: nothing touches the disk or draws numbers
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
