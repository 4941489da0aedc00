"""What TikTok allows per account, shared by all processes."""
