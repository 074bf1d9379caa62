"""How hypothesis runs here: no deadlines, because a busy machine is no fault, and nothing left on disk.

Elsewhere: the properties themselves (test_*.py beside this).
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lockring", deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lockring")
