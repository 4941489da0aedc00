"""Waiting for TikTok: when to ask, and what the answer means."""
