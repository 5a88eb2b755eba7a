from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.splits import write_splits

    indices = {Path(index).parent.name: index for index in snakemake.output.indices}
    write_splits(snakemake.input.index, indices, snakemake.output.near_duplicates, **spec)
