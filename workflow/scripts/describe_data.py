from synthworth.job import job

with job(snakemake):
    from synthworth.cohort import describe_data

    describe_data(snakemake.input.indices, snakemake.input.near_duplicates, **dict(snakemake.output.items()))
