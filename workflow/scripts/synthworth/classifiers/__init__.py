"""Classifiers: the downstream task on which synthetic images prove their worth, or do not."""
