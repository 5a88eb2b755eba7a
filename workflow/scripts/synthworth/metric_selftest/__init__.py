"""The metric self-test: does each metric see, on the user's own images and at their number, what it is meant to see?

`degradations` spoils real images by growing amounts, `expectations` says which metric should notice what, `responses`
measures and judges, `figure` shows.
"""
