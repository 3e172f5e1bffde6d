"""Hypothesis on a machine that others use too: examples may be slow, what they find may not be missed."""

from hypothesis import HealthCheck, settings

settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")
