"""A strict, stateful stand-in for TikTok's API, for tests and demonstrations without TikTok."""
