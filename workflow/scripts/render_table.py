from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.tables import render_table

    render_table(
        snakemake.wildcards.table,
        scores=snakemake.input.scores,
        **dict(snakemake.output.items()),
        **spec,
    )
