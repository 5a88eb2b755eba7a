from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.synthesis import synthesize_shard

    synthesize_shard(
        selected=snakemake.input.selected,
        checkpoints=snakemake.params.checkpoints,
        texts=snakemake.input.texts or None,
        output=snakemake.output.shard,
        first=int(snakemake.wildcards.first),
        last=int(snakemake.wildcards.last),
        batch_size=snakemake.params.batch_size,
        **spec,
    )
