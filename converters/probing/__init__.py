"""Running a model on some machine, here, emulated or over SSH, and hearing what it answered and how long it took."""
