"""Triggers that wait for posts in the triggerer."""
