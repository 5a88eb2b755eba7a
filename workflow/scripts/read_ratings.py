from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.joining import write_rows

    write_rows(
        ratings=snakemake.input.ratings,
        open_keys=snakemake.input.open_keys,
        sealed_keys=snakemake.input.sealed_keys,
        rows=snakemake.output.rows,
        **spec,
    )
