from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.generators import train_generator

    train_generator(
        images=snakemake.input.images,
        index=snakemake.input.index,
        state=snakemake.input.state or None,
        base=snakemake.input.base or None,
        encodings=snakemake.input.encodings or None,
        prior=snakemake.input.prior or None,
        checkpoint=snakemake.output.checkpoint,
        next_state=snakemake.output.state,
        step=int(snakemake.wildcards.step),
        processes=snakemake.resources.gpu,
        memory=snakemake.params.memory,
        **spec,
    )
