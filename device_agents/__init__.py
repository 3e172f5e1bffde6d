"""The wearable gateway: a bundle on live streams, observations to the hospital."""
