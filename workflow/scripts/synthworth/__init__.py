"""Synthworth: is synthetic data worth it, on my images?"""

VERSION = "0.1.0"
