"""The media of a post, and what TikTok would refuse of them."""
