"""Read and write frames with exact timestamps; the snippet clock that all streams of a video share."""
