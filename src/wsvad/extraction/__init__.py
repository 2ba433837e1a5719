"""Feature files from videos and captions."""
