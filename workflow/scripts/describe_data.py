from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.cohort import describe_data

    outputs = dict(snakemake.output.items())
    describe_data(snakemake.input.indices, snakemake.input.near_duplicates, **outputs, **spec)
