from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.features import extract_samples

    extract_samples(
        shards=[Path(snakemake.input.samples)],
        weights=Path(snakemake.input.extractor),
        output=Path(snakemake.output.features),
        **spec,
    )
