from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.base_models import fetch_base_model

    fetch_base_model(output=Path(snakemake.output.pipeline), **spec)
