"""Systolic pressure to expect from age, weight, height and sex."""
