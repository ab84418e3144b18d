"""Properties: how many examples Hypothesis tries of each.

``HYPOTHESIS_PROFILE`` chooses: ``dev`` is for a change at hand, ``ci`` for a change that is to be merged.
"""

import os

from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow,)  # how long an example takes says nothing: the machine may be busy


def load_profile() -> None:
    """Register the profiles and load the chosen one: ``ci`` by default if CI is set, else ``dev``."""
    settings.register_profile("dev", deadline=None, suppress_health_check=_SLOW, max_examples=25)
    settings.register_profile("ci", deadline=None, suppress_health_check=_SLOW, max_examples=100, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def examples(*, percent: int) -> settings:
    """Return settings with a share of the profile's examples: few where each is expensive, many where each is cheap."""
    return settings(max_examples=max(5, settings().max_examples * percent // 100))
