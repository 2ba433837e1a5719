"""A trained method with its encoders, normalisation and threshold: video in, scores and events out."""
