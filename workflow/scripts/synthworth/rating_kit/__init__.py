"""Blind kits for readers: which images, rendered alike, on one page that works offline, with a key that is sealed."""

# What the sealed key is called in the folder that is handed out. Here, as the Snakefile names it while it is parsed.
KEY = "key.sealed"
