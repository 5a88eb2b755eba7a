from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.joining import write_rows

    write_rows(
        ratings=snakemake.input.ratings,
        keys=snakemake.input.keys,
        sealed=snakemake.input.sealed,
        rows=snakemake.output.rows,
        **spec,
    )
