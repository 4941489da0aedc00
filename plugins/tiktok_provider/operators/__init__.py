"""Operators that publish to TikTok and ask about accounts."""
