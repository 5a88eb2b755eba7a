from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.tables import render_table

    render_table(
        snakemake.wildcards.table,
        scores=snakemake.input.scores,
        csv=snakemake.output.csv,
        markdown=snakemake.output.markdown,
        latex=snakemake.output.latex,
        **spec,
    )
