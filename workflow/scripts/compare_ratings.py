from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.outputs import write_comparisons

    write_comparisons(
        snakemake.input.rows,
        tests=snakemake.output.tests,
        agreement=snakemake.output.agreement,
        discrimination=snakemake.output.discrimination,
        **spec,
    )
