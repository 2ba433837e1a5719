"""`hf:`: networks of `transformers`. Nothing is imported here, so that encoders are listed without the library."""
