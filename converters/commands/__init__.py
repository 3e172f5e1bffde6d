"""The commands of ``edge-convert``, a file each."""
