from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.metric_selftest.measurement import measure

    measure(
        images=snakemake.input.images,
        index=snakemake.input.index,
        weights=Path(snakemake.input.extractor),
        output=snakemake.output.values,
        **spec,
    )
