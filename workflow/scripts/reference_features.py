from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.features import extract_reference

    extract_reference(
        images=Path(snakemake.input.images),
        index=Path(snakemake.input.index),
        weights=Path(snakemake.input.extractor),
        output=Path(snakemake.output.features),
        **spec,
    )
