from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.classifiers.models import fetch_pretrained

    fetch_pretrained(output=Path(snakemake.output.weights), **spec)
