from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.examples import draw_examples

    draw_examples(
        rows=snakemake.input.rows,
        keys=snakemake.input.keys,
        sealed=snakemake.input.sealed,
        kits=snakemake.input.kits,
        png=snakemake.output.png,
        pdf=snakemake.output.pdf,
        **spec,
    )
