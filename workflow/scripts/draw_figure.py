from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.figures import draw_figure

    draw_figure(
        snakemake.wildcards.figure,
        scores=snakemake.input.scores,
        png=snakemake.output.png,
        pdf=snakemake.output.pdf,
        **spec,
    )
