from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.rating_kit.outputs import make_rating_kit

    make_rating_kit(
        real_images=snakemake.input.images,
        real_index=snakemake.input.index,
        shards=snakemake.input.shards,
        kit=snakemake.output.kit,
        key=snakemake.output.key,
        **spec,
    )
