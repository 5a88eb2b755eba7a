from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.outside_images import import_images

    import_images(
        index=snakemake.input.index,
        splits=snakemake.input.splits,
        checkpoint=snakemake.output.checkpoint,
        needed=snakemake.params.needed,
        threads=snakemake.threads,
        **spec,
    )
