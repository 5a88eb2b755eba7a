from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.sheets import draw_real_samples

    draw_real_samples(snakemake.input.images, snakemake.input.index, snakemake.output.png, snakemake.output.pdf, **spec)
