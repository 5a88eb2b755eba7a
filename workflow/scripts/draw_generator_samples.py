from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.sheets import draw_generator_samples

    draw_generator_samples(
        snakemake.input.shards,
        snakemake.input.images,
        snakemake.input.index,
        snakemake.output.png,
        snakemake.output.pdf,
        **spec,
    )
