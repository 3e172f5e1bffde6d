"""The workstation: from a trained model to a verified, signed bundle."""
