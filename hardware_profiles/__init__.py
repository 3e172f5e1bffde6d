"""Boards as data: one TOML file each, read through `edge_sdk.profiles`."""
