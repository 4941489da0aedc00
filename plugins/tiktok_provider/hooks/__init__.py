"""Reads a Connection and runs TikTok calls with it."""
