from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.domain_extractor import train_domain_extractor

    train_domain_extractor(
        Path(snakemake.input.images), Path(snakemake.input.index), Path(snakemake.output.extractor), **spec
    )
