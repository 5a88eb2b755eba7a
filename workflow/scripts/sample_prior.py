from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.prior import sample_prior

    sample_prior(
        base=Path(snakemake.input.base),
        shard=Path(snakemake.output.shard),
        encodings=Path(snakemake.output.encodings),
        batch_size=snakemake.params.batch_size,
        **spec,
    )
