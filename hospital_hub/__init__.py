"""The hospital: receives, stores and shows what devices observe."""
