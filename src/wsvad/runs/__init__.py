"""Run folders: what they hold, how they are read and written, and scoring with what they hold."""
