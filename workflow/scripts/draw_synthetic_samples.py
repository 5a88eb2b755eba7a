from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.sheets import draw_synthetic_samples

    draw_synthetic_samples(snakemake.input.shards, snakemake.output.png, snakemake.output.pdf, **spec)
