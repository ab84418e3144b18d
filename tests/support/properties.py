"""Property tests: how many examples Hypothesis tries.

``HYPOTHESIS_PROFILE`` names the profile: ``dev`` while a change is written, ``ci`` before it is merged.
"""

import os

from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow,)  # an example is also slow if the machine is busy


def load_profile() -> None:
    """Register the profiles and load the chosen one: ``ci`` by default if CI is set, else ``dev``."""
    settings.register_profile("dev", deadline=None, suppress_health_check=_SLOW, max_examples=25)
    settings.register_profile("ci", deadline=None, suppress_health_check=_SLOW, max_examples=100, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def examples(*, percent: int) -> settings:
    """Return settings with a share of the profile's examples: few if each is expensive, many if each is cheap."""
    return settings(max_examples=max(5, settings().max_examples * percent // 100))
