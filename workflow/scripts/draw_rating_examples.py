from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.examples import draw_examples

    draw_examples(
        rows=snakemake.input.rows,
        open_keys=snakemake.input.open_keys,
        sealed_keys=snakemake.input.sealed_keys,
        kits=snakemake.input.kits,
        png=snakemake.output.png,
        pdf=snakemake.output.pdf,
        **spec,
    )
