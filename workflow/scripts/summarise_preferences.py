from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.outputs import write_preferences

    write_preferences(snakemake.input.rows, snakemake.output.preferences, **spec)
