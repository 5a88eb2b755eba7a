"""Blind kits for readers: which images, rendered alike, on one page that works offline, with a key that is sealed."""
