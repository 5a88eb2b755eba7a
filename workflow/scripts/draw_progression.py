from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.sheets import draw_progression

    draw_progression(
        snakemake.input.samples, snakemake.input.curves, snakemake.output.png, snakemake.output.pdf, **spec
    )
