"""An aarch64 machine on this one: qemu runs the real Arm Python with the real Arm wheels, from a cached folder."""
