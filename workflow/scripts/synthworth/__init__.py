"""Synthworth: is synthetic data worth it, on my images?"""
