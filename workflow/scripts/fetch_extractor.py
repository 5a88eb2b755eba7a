from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.features import fetch_extractor

    fetch_extractor(output=Path(snakemake.output.weights), **spec)
