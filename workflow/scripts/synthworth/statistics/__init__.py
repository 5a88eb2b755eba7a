"""How sure one may be: arms against the baseline, the study's verdict, and generators among each other.

`predictions` holds what the runs said of the test images, `influence` the metrics and each patient's part in them,
`grid` which runs repeat each other, `variance` the noise of a difference, `comparisons` effects with intervals,
`verdict` their meaning in words, `components` where the noise comes from, `worth` effects in real images,
`generators` the rank tests of the paper, `outputs` the files. `groups` (rank tests), `areas` (AUROCs) and `shares`
serve whoever needs them.
"""
