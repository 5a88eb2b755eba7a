from pathlib import Path

from synthworth.job import job

with job(snakemake):
    from synthworth.published import write_published

    write_published(Path(snakemake.input[0]).parent, **dict(snakemake.output.items()))
