"""Making a model smaller and faster."""
