from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.memorization.pairs import draw_closest_pairs

    draw_closest_pairs(
        audited=snakemake.input.audited,
        alarms=snakemake.input.alarms,
        selected=snakemake.input.selected,
        samples=snakemake.input.samples,
        images=snakemake.input.train_images,
        index=snakemake.input.train_index,
        png=snakemake.output.png,
        pdf=snakemake.output.pdf,
        **spec,
    )
