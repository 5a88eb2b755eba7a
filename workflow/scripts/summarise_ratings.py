from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.outputs import write_summary

    write_summary(snakemake.input.rows, snakemake.output.ratings, **spec)
