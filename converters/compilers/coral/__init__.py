"""Google Coral's Edge TPU: its rules, a forecast by them, and the real compiler."""
